// Package secrets reads a secret from AWS Secrets Manager: one signed request,
// which does not justify the service's whole client in every function.
//
// It does not keep what it read, and it cannot write.
package secrets

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	tries = 4
	// pause before the second try; each further one waits twice as long.
	pause = 100 * time.Millisecond
	// answerMax bounds what is read: a secret has at most 64 KB.
	answerMax = 256 << 10
	// once is what one try may take.
	once = 3 * time.Second
)

// Reader reads secrets. The zero Client is http.DefaultClient.
type Reader struct {
	Config   aws.Config // region and credentials
	Endpoint string     // empty: that of the region
	Client   *http.Client
}

// Read returns the text of the secret that the ARN or name stands for. What the
// service or the network cannot do for now is tried again for about a second.
// Errors never hold the secret.
func (r Reader) Read(ctx context.Context, id string) (string, error) {
	body, err := json.Marshal(map[string]string{"SecretId": id})
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	for try := range tries {
		if try > 0 {
			select {
			case <-time.After(pause << (try - 1)):
			case <-ctx.Done():
				return "", fmt.Errorf("read a secret: %w", errors.Join(ctx.Err(), err))
			}
		}
		var text string
		var again bool
		if text, again, err = r.try(ctx, body); err == nil {
			return text, nil
		}
		if !again {
			break
		}
	}
	return "", fmt.Errorf("read a secret: %w", err)
}

// try asks once; again says whether asking again can help.
func (r Reader) try(ctx context.Context, body []byte) (text string, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, once)
	defer cancel()
	endpoint := r.Endpoint
	if endpoint == "" {
		endpoint = "https://secretsmanager." + r.Config.Region + "." + suffix(r.Config.Region)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return "", false, err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	who, err := r.Config.Credentials.Retrieve(ctx)
	if err != nil {
		return "", false, fmt.Errorf("find credentials: %w", err)
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), "secretsmanager", r.Config.Region, time.Now()); err != nil {
		return "", false, fmt.Errorf("sign the request: %w", err)
	}
	client := r.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return "", true, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err != nil {
		return "", true, fmt.Errorf("read the answer: %w", err)
	}
	var answer struct {
		SecretString string
		Type         string `json:"__type"`
	}
	broken := json.Unmarshal(b, &answer)
	if res.StatusCode != http.StatusOK {
		code := answer.Type[strings.LastIndexByte(answer.Type, '#')+1:]
		again = res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests || strings.Contains(code, "Throttling")
		return "", again, fmt.Errorf("the answer of Secrets Manager is %d %s", res.StatusCode, code)
	}
	if broken != nil {
		return "", true, errors.New("the answer of Secrets Manager is not JSON")
	}
	if answer.SecretString == "" {
		return "", false, errors.New("the secret has no text")
	}
	return answer.SecretString, false, nil
}

// suffix is the domain of a region's partition.
func suffix(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "amazonaws.com.cn"
	case strings.HasPrefix(region, "eusc-"):
		return "amazonaws.eu"
	}
	return "amazonaws.com"
}
