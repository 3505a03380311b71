//go:build ignore

// Generate prints the words of zxcvbn's frequency lists that package account
// bundles. See README.md.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"regexp"
	"slices"
	"strings"
)

var list = regexp.MustCompile(`(passwords|english_wikipedia|female_names|male_names|surnames): "([^"]*)"\.split`)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: go run generate.go frequency_lists.js >words.txt")
	}
	source, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var words []string
	for _, m := range list.FindAllStringSubmatch(string(source), -1) {
		for w := range strings.SplitSeq(m[2], ",") {
			if w = strings.ToLower(w); len(w) >= 4 && !strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r > '~' }) {
				words = append(words, w)
			}
		}
	}
	slices.Sort(words)
	out := bufio.NewWriter(os.Stdout)
	for _, w := range slices.Compact(words) {
		fmt.Fprintln(out, w)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}
