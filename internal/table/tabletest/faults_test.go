package tabletest

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

func inMemory(_ TB, subs ...table.Subscription) Subject {
	m := memory.New(subs...)
	s := Subject{Table: m, Feed: m}
	s.Reopen = func() (Subject, error) { return s, nil }
	return s
}

// TestFaults holds that each sentence of the contract is broken by at least
// one fault, that the suite catches each fault in the very subtest of the
// sentence, and that the table without a fault passes there. It prints the
// list, and FAULTS.md holds it; -update writes that anew.
func TestFaults(t *testing.T) {
	// A failure is what is wanted here: it is neither kept nor made smaller.
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s"} {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	byText := map[string]Sentence{}
	for _, s := range Sentences {
		if _, twice := byText[s.Text]; twice {
			t.Errorf("two sentences say %q", s.Text)
		}
		byText[s.Text] = s
	}
	names, list := map[string]bool{}, map[string][]string{}
	for _, fault := range Faults {
		s, ok := byText[fault.Breaks]
		if !ok {
			t.Errorf("the fault %q breaks %q, which is no sentence", fault.Name, fault.Breaks)
			continue
		}
		if names[fault.Name] {
			t.Errorf("two faults are called %q", fault.Name)
		}
		names[fault.Name] = true
		failed, said := Try(s.Text, Faulty(inMemory, fault))
		if !failed {
			t.Errorf("the fault %q is not caught by %q: %s", fault.Name, s.Text, strings.Join(said, "; "))
		}
		caught := "caught"
		if len(said) > 0 {
			caught = "caught: " + firstLine(said[0])
		}
		list[s.Text] = append(list[s.Text], fmt.Sprintf("%s\n        %s", fault.Name, caught))
	}
	for _, s := range Sentences {
		if len(list[s.Text]) == 0 {
			t.Errorf("no fault breaks the sentence %q", s.Text)
		}
		if r := record(s.Text, func(t TB) { s.check(start(t, inMemory)) }); r.Failed() {
			t.Errorf("%q fails without a fault: %s", s.Text, strings.Join(r.messages, "; "))
		}
		t.Logf("%s\n    %s", s.Text, strings.Join(list[s.Text], "\n    "))
	}
	t.Logf("%d sentences, %d faults", len(Sentences), len(Faults))
	document(t)
	if len(Faults) < 30 {
		t.Errorf("%d faults, want at least 30", len(Faults))
	}
}

var update = flag.Bool("update", false, "write FAULTS.md anew")

// document holds that FAULTS.md is the list.
func document(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "# What the suite catches\n\nEach sentence of the contract of package table, and the faults that TestFaults plants in a table\nto prove that the sentence's subtest catches them: %d sentences, %d faults. Written by\n`go test ./internal/table/tabletest -run TestFaults -update`.\n\n| sentence | planted fault |\n|---|---|\n", len(Sentences), len(Faults))
	for _, s := range Sentences {
		for _, f := range Faults {
			if f.Breaks == s.Text {
				fmt.Fprintf(&b, "| %s | %s |\n", s.Text, f.Name)
			}
		}
	}
	const file = "FAULTS.md"
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != b.String() {
		t.Errorf("FAULTS.md is not the list of faults (%v); write it anew with -update", err)
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return fmt.Sprintf("%.140s", line)
}
