// A function that cannot start: it says so, or just ends.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	if os.Getenv("SAY") != "" {
		url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
		body := `{"errorType":"NoTable","errorMessage":"there is no table"}`
		if _, err := http.Post(url, "application/json", strings.NewReader(body)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(3)
}
