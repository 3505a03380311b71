package dynamo

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// whole is an HTTP client that hands on answers as a whole or not at all. The
// SDK takes an answer without a body for an item that does not exist, and only
// logs a checksum that is wrong.
type whole struct{ dynamodb.HTTPClient }

var errTorn = errors.New("the answer does not have the checksum that it came with")

// Do is the SDK's. An answer that was cut fails as a lost one.
func (w whole) Do(r *http.Request) (*http.Response, error) {
	answer, err := w.HTTPClient.Do(r)
	if err != nil {
		return answer, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if sum := answer.Header.Get("X-Amz-Crc32"); sum != "" && sum != strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10) {
		return nil, errTorn
	}
	if answer.StatusCode == http.StatusOK && len(body) == 0 {
		return nil, errTorn
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}
