package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"gatehouse/internal/aws"
	"gatehouse/internal/fault"
)

// onTable carries out a command on a stack's table, with the credentials that
// the AWS command line would use.
func onTable(ctx context.Context, table, name string, args json.RawMessage) (json.RawMessage, error) {
	if name == "backup" {
		return nil, fault.New(fault.Invalid, "", "AWS backs the table up by itself, for every second of the last days: see docs/operating.md.")
	}
	// The loader's own warnings are about places where it found no credentials.
	c, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
	if err != nil {
		return nil, &fault.Error{Kind: fault.Invalid, Msg: "The AWS configuration cannot be read: " + err.Error(), Err: err}
	}
	if c.Credentials == nil {
		return nil, fault.New(fault.Unauthorized, "", "There are no AWS credentials: sign in as for the AWS command line.")
	}
	if _, err := c.Credentials.Retrieve(ctx); err != nil {
		return nil, &fault.Error{Kind: fault.Unauthorized, Msg: "There are no AWS credentials: sign in as for the AWS command line.", Err: err}
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	op, err := aws.Attach(ctx, c, os.Getenv, table, log)
	if err != nil {
		return nil, err
	}
	answer, err := op.Do(ctx, name, args)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return nil, fmt.Errorf("write the answer: %w", err)
	}
	return b, nil
}
