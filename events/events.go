// Package events holds a sample of every payload that reaches a function: one
// file for each source and case, named <source>-<case>.json. Tests read them, and
// so does `sam local invoke --event`.
//
// They belong together: one organization, one user who joins, the mail to them
// and what SES says of it. They hold no real person's data, and their keys and
// tokens open nothing but the tests' own world.
package events

import (
	"embed"
	"fmt"
)

// Samples are the files.
//
//go:embed *.json
var Samples embed.FS

// Read returns the sample of that file name.
func Read(name string) ([]byte, error) {
	b, err := Samples.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read a sample event: %w", err)
	}
	return b, nil
}
