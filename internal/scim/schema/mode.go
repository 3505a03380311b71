package schema

import (
	"fmt"
	"strings"
)

// Mode is how far a connection's messages may stray from the RFCs: what real
// identity providers send and what the RFCs say contradict each other, so one
// mode cannot serve both.
type Mode uint8

const (
	// Compat takes what Okta, Entra ID, OneLogin and others send, coerces it by
	// the schema and counts every coercion in a Report.
	Compat Mode = iota
	// Strict is RFC 7643 and RFC 7644 to the letter.
	Strict
	// Interop is the SCIM 2.0 Interoperability Profile: strict, and narrower.
	Interop
)

var modeNames = [...]string{"compat", "strict", "interop"}

func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

// ParseMode reads a mode's name, without regard to case; the empty name is
// Compat.
func ParseMode(s string) (Mode, error) {
	if s == "" {
		return Compat, nil
	}
	for i, n := range modeNames {
		if strings.EqualFold(n, s) {
			return Mode(i), nil
		}
	}
	return Compat, fmt.Errorf("%q is no mode: compat, strict or interop", s)
}
