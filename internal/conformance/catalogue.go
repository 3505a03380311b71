package conformance

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"fmt"
)

// Requirement is a row of the catalogue.
type Requirement struct {
	ID       string // "RFC7644-3.3-L602": the RFC, its section, the line of its text
	Level    string // "Must", "ShouldNot", ...
	Summary  string
	Feature  string
	Testable bool // by a client
}

//go:embed testdata/requirements.csv
var catalogue []byte

// Requirements reads the catalogue, in its order.
func Requirements() ([]Requirement, error) {
	rows, err := csv.NewReader(bytes.NewReader(catalogue)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read the requirements: %w", err)
	}
	var out []Requirement
	for _, r := range rows[1:] {
		out = append(out, Requirement{ID: r[0], Level: r[1], Summary: r[2], Feature: r[3], Testable: r[4] == "true"})
	}
	return out, nil
}
