package fault_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"gatehouse/internal/fault"
)

func TestOf(t *testing.T) {
	plain := errors.New("disk on fire")
	known := fault.New(fault.Conflict, fault.Uniqueness, "The %s is taken.", "name")
	for _, c := range []struct {
		name string
		err  error
		kind fault.Kind
		code string
		msg  string
	}{
		{"a plain error", plain, fault.Internal, "", ""},
		{"a fault", known, fault.Conflict, fault.Uniqueness, "The name is taken."},
		{"a wrapped fault", fmt.Errorf("create user: %w", known), fault.Conflict, fault.Uniqueness, "The name is taken."},
		{"one fault around another", &fault.Error{Kind: fault.Unavailable, Msg: "Later.", Err: known, Retry: time.Second}, fault.Unavailable, "", "Later."},
		{"joined errors", errors.Join(plain, known), fault.Conflict, fault.Uniqueness, "The name is taken."},
	} {
		f := fault.Of(c.err)
		if f.Kind != c.kind || f.Code != c.code || f.Msg != c.msg {
			t.Errorf("Of %s = %v, %q, %q; want %v, %q, %q", c.name, f.Kind, f.Code, f.Msg, c.kind, c.code, c.msg)
		}
		if !fault.Is(c.err, c.kind) || fault.Is(c.err, fault.Throttled) || !fault.Coded(c.err, c.code) || fault.Coded(c.err, "other") {
			t.Errorf("Is or Coded of %s do not agree with Of", c.name)
		}
	}
	if fault.Of(nil) != nil || fault.Is(nil, fault.Internal) || fault.Coded(nil, "") {
		t.Error("no error is taken for a fault")
	}
	if !errors.Is(&fault.Error{Kind: fault.Internal, Err: plain}, plain) {
		t.Error("a fault hides the error that it is for the log")
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := fault.Internal; k <= fault.Unavailable; k++ {
		if seen[k.String()] {
			t.Errorf("two kinds are called %q", k)
		}
		seen[k.String()] = true
	}
	if got := fault.Kind(200).String(); got != "internal" {
		t.Errorf("an unknown kind is called %q, want internal", got)
	}
}
