package main

import (
	"bytes"
	"strings"
	"testing"
)

// What --table refuses before it reaches AWS, and how it says so. That it works
// is what the rehearsal's stories show.
func TestTableRefuses(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for name, value := range map[string]string{
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_PROFILE": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
		"AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	refused := func(says string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, &out, &errs); code != 1 || out.Len() > 0 || !strings.Contains(errs.String(), says) {
			t.Errorf("gatehouse %v = %d, %q, %q; want 1 and %q", args, code, out.String(), errs.String(), says)
		}
	}
	refused("no AWS credentials", "--table", "gatehouse", "org", "list")
	refused("no AWS credentials", "org", "list", "--table", "gatehouse")
	refused("served by its stack's functions", "--table", "gatehouse", "serve")
	refused("docs/operating.md", "--table", "gatehouse", "backup", "copy")

	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	refused("AWS_REGION", "--table", "gatehouse", "org", "list")
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")
	refused("busy", "--table", "gatehouse", "org", "list")

	t.Setenv("GATEHOUSE_TABLE", "gatehouse")
	refused("served by its stack's functions", "serve")
}
