package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// documents are where operators read what to type.
func documents(t *testing.T) []string {
	t.Helper()
	guides, err := filepath.Glob("../../docs/guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	alerts, err := filepath.Glob("../../docs/alerts/*.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(guides) < 5 || len(alerts) < 5 {
		t.Fatalf("found %d guides and %d pages of alarms, want all of them", len(guides), len(alerts))
	}
	return append(append(guides, alerts...), "../../README.md", "../../docs/operating.md")
}

// line is a command line that a document names.
type line struct {
	text  string
	whole bool // stands in a block, to be typed as it is
	args  []string
}

var inline = regexp.MustCompile("`((?:gatehouse|connection|client|org|dead|serve)(?: [^`]*)?)`")

// lines finds command lines: whole ones in blocks, and between backticks ones
// that may leave options away, or the program's name.
func lines(doc string) (all []line) {
	blocks, rest := split(doc)
	for _, block := range blocks {
		block = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(block, " ")
		for text := range strings.Lines(block) {
			text = strings.TrimSpace(text)
			if strings.HasPrefix(text, "gatehouse ") {
				text, _, _ = strings.Cut(text, "  #")
				text, _, _ = strings.Cut(text, " # ")
				all = append(all, line{text: text, whole: !strings.Contains(text, "…"), args: words(text)[1:]})
			}
		}
	}
	for _, m := range inline.FindAllStringSubmatch(rest, -1) {
		args := words(m[1])
		if args[0] == "gatehouse" {
			args = args[1:]
		}
		all = append(all, line{text: m[1], args: args})
	}
	return all
}

// split parts a document into its blocks of code and the rest.
func split(doc string) (blocks []string, rest string) {
	var b strings.Builder
	in := false
	for text := range strings.Lines(doc) {
		if strings.HasPrefix(strings.TrimSpace(text), "```") {
			if in = !in; in {
				blocks = append(blocks, "")
			}
			continue
		}
		if in {
			blocks[len(blocks)-1] += text
		} else {
			b.WriteString(text)
		}
	}
	return blocks, b.String()
}

// words parts a command line as a shell does, without what stands for something
// left out.
func words(text string) (args []string) {
	for _, m := range regexp.MustCompile(`"([^"]*)"|\S+`).FindAllStringSubmatch(text, -1) {
		switch {
		case strings.HasPrefix(m[0], `"`):
			args = append(args, m[1])
		case m[0] != "…":
			args = append(args, m[0])
		}
	}
	return args
}

// check parses a command line by the program's own grammar. Of one that may be
// shortened, the command and the options that it names have to be there.
func (l line) check() error {
	var c cli
	parser, err := kong.New(&c, kong.Name("gatehouse"), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
	if err != nil {
		return err
	}
	if l.whole {
		_, err := parser.Parse(l.args)
		return err
	}
	trace, err := kong.Trace(parser, l.args) // without what is required, and without hooks
	if err != nil {
		return err
	}
	// A group of commands may be named alone, and an option without its value.
	if e := trace.Error; e != nil && !strings.Contains(e.Error(), "expected one of") && !strings.Contains(e.Error(), "EOL") {
		return trace.Error
	}
	if node := trace.Selected(); node == nil && len(l.args) > 0 && !strings.HasPrefix(l.args[0], "--table") {
		return fmt.Errorf("names no command (%v)", trace.Error)
	}
	return nil
}

// What the documents tell operators to type is what the program understands.
func TestCommandsOfTheDocuments(t *testing.T) {
	whole, named := 0, 0
	for _, name := range documents(t) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines(string(b)) {
			if l.whole {
				whole++
			} else {
				named++
			}
			if err := l.check(); err != nil {
				t.Errorf("%s: %q: %v", name, l.text, err)
			}
		}
	}
	if whole < 15 || named < 25 {
		t.Errorf("found %d command lines in blocks and %d in texts: are they still looked for where they stand?", whole, named)
	}
}

// The check above can fail.
func TestCommandsThatAreWrong(t *testing.T) {
	for _, l := range []line{
		{text: "gatehouse connection make --org x", whole: true},
		{text: "gatehouse connection create --org x", whole: true}, // without --name
		{text: "gatehouse connection create --org x --name y --no-tokens", whole: true},
		{text: "gatehouse client trusts"},
		{text: "gatehouse client trust --issue x"},
		{text: "gatehouse --table NAME connection update --tempo 3"},
		{text: "gatehouse connection discovery --org x --connection y some", whole: true},
	} {
		l.args = words(l.text)[1:]
		if err := l.check(); err == nil {
			t.Errorf("%q is taken for a command", l.text)
		}
	}
}
