package plot

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the pictures in testdata anew")

var pictures = map[string]Chart{
	"categories": {Title: "What it costs & why", Y: "CPU seconds per 1,000", X: "request", Labels: []string{"create", "GET"}, Series: []Series{
		{Name: "floor", Points: []Point{{0, 0.09}, {1, 0.055}}},
		{Name: "ours", Points: []Point{{0, 0.4}, {1, 0.1}}},
		{Name: "a <peer>", Points: []Point{{0, 3.02}}},
	}},
	"sizes": {Title: "Lookup", Y: "CPU seconds per 1,000", X: "users, logarithmic", Series: []Series{
		{Name: "floor"},
		{Name: "ours", Points: []Point{{1000, 0.13}, {10_000, 0.13}, {1_000_000, 0.14}}},
		{Name: "peer", Points: []Point{{1000, 4.9}, {10_000, 49}, {100_000, 0}}},
	}},
	"nothing": {Title: "Nothing", Y: "unit", X: "users", Series: []Series{{Name: "ours"}}},
}

func TestSVG(t *testing.T) {
	for name, c := range pictures {
		got := c.SVG()
		if err := wellFormed(got); err != nil {
			t.Errorf("%s is not well-formed: %v", name, err)
		}
		file := filepath.Join("testdata", name+".svg")
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs from %s; if that is meant, go test ./internal/peers/plot -update\n%s", name, file, got)
		}
		for _, must := range []string{"prefers-color-scheme: dark", ", logarithmic</text>", "</svg>"} {
			if !strings.Contains(got, must) {
				t.Errorf("%s has no %q", name, must)
			}
		}
	}
}

// TestScale: values stand where a logarithm puts them, on whole powers of ten.
func TestScale(t *testing.T) {
	c := Chart{Series: []Series{{Points: []Point{{1, 0.05}, {2, 30}, {3, -1}}}}}
	s := c.scale(func(p Point) float64 { return p.Y })
	if s != (scale{-2, 2}) {
		t.Errorf("the scale of 0.05 to 30 is 10^%d to 10^%d, want 10^-2 to 10^2", s.low, s.high)
	}
	for v, want := range map[float64]float64{0.01: 0, 0.1: 0.25, 1: 0.5, 100: 1} {
		if got := s.at(v); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("at(%v) = %v, want %v", v, got, want)
		}
	}
	for d, want := range map[int]string{-2: "0.01", 0: "1", 3: "1,000", 6: "1,000,000"} {
		if got := decade(d); got != want {
			t.Errorf("decade(%d) = %q, want %q", d, got, want)
		}
	}
}

func wellFormed(text string) error {
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
