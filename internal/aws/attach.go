package aws

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
)

// Attach opens the table of a stack for an operator's commands, with the
// credentials of who types them. What stack it is stands in the table; mails
// and links are left to its functions.
func Attach(ctx context.Context, c aws.Config, env func(string) string, table string, log *slog.Logger) (*app.Operator, error) {
	e := environment(env)
	if c.Region == "" {
		return nil, fault.New(fault.Invalid, "", "Say in which region the table is: set AWS_REGION, or a profile that names one.")
	}
	p := app.Ports{Table: open(c, e.endpoint("DYNAMODB"), table, time.Now, log), Now: time.Now, Log: log}
	s, err := readStack(ctx, p.Table)
	if err != nil {
		return nil, unattached(err, table, c.Region)
	}
	if p.Key, err = serverKey(ctx, c, e.endpoint("SECRETS_MANAGER"), s.Secret); err != nil {
		return nil, &fault.Error{Kind: fault.Forbidden, Err: err,
			Msg: fmt.Sprintf("The server key cannot be read. Your credentials need secretsmanager:GetSecretValue on %s.", s.Secret)}
	}
	if err := app.Prepare(ctx, p.Table, p.Key, p.Now()); err != nil {
		return nil, unattached(err, table, c.Region)
	}
	p.URL = s.URL
	return &app.Operator{App: app.New(p)}, nil
}

// unattached says what an operator can do about a table that does not open.
func unattached(err error, table, region string) error {
	var api smithy.APIError
	var none *types.ResourceNotFoundException
	switch {
	case errors.Is(err, errNoStack):
		return fault.New(fault.NotFound, "", "The table %s in %s is not a stack's yet. A new stack is ready a minute after it was deployed.", table, region)
	case errors.As(err, &none):
		return fault.New(fault.NotFound, "", "There is no table %s in %s. Its name is the stack's; the region is AWS_REGION or your profile's.", table, region)
	case errors.As(err, &api) && (api.ErrorCode() == "AccessDeniedException" || api.ErrorCode() == "UnrecognizedClientException" || api.ErrorCode() == "ExpiredTokenException"):
		return &fault.Error{Kind: fault.Forbidden, Err: err,
			Msg: fmt.Sprintf("AWS does not let your credentials read the table %s in %s (%s).", table, region, api.ErrorCode())}
	}
	return err
}
