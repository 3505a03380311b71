package aws

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"gatehouse/internal/org"
)

// environment is what template.yaml tells a function. Names that are not set
// are empty.
type environment func(name string) string

// need returns what a function cannot do without.
func (e environment) need(name string) (string, error) {
	if v := e(name); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("the environment does not say %s", name)
}

// endpoint is where a service is, empty for the region's own: the SDK's own
// variables, which a Config that is built by hand does not read.
func (e environment) endpoint(service string) string {
	if v := e("AWS_ENDPOINT_URL_" + service); v != "" {
		return strings.TrimSuffix(v, "/")
	}
	return strings.TrimSuffix(e("AWS_ENDPOINT_URL"), "/")
}

// config is what Lambda gives every function: a region, and the credentials of
// its role, which hold as long as the environment does. The SDK's own loader
// would look in files and ask other services, for twice the time to start.
func (e environment) config() (aws.Config, error) {
	region, err := e.need("AWS_REGION")
	if err != nil {
		return aws.Config{}, err
	}
	if e("AWS_ACCESS_KEY_ID") == "" || e("AWS_SECRET_ACCESS_KEY") == "" {
		return aws.Config{}, errors.New("the environment holds no credentials")
	}
	who := aws.Credentials{
		AccessKeyID: e("AWS_ACCESS_KEY_ID"), SecretAccessKey: e("AWS_SECRET_ACCESS_KEY"),
		SessionToken: e("AWS_SESSION_TOKEN"), Source: "environment",
	}
	return aws.Config{
		Region:      region,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return who, nil }),
	}, nil
}

// limit reads the mails of one organization in a day.
func (e environment) limit() (int, error) {
	v := e("GATEHOUSE_MAIL_LIMIT")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return 0, errors.New("GATEHOUSE_MAIL_LIMIT is not a number of mails")
	}
	return n, nil
}

// rate reads the SCIM requests a second of a connection that has no rate of its
// own.
func (e environment) rate() (int, error) {
	v := e("GATEHOUSE_SCIM_RATE")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n != 0 && (n < org.MinRate || n > org.MaxRate) {
		return 0, errors.New("GATEHOUSE_SCIM_RATE is not a number of requests a second")
	}
	return n, nil
}

var process environment = os.Getenv
