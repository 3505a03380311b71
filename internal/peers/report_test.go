package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/page.md anew")

// sample is a run in which everything occurs that a page has to tell.
func sample() *measurements {
	m := &measurements{
		Date: "2026-11-22", Plan: "whole", Minutes: 18.4, Fsync: fsync{Append: 0.4, InPlace: 0.2},
		Machine:    []fact{{"CPU", "2 × something"}},
		Contenders: []described{{floorName, "", "the least"}, {oursName, "abc", "all of it"}, {"other", "1.2", "in memory"}},
		Memory:     []memory{{floorName, 1000, 30}, {oursName, 1000, 60}, {oursName, 100_000, 180.4}, {"other", 1000, 900}},
		Lost:       []lost{{oursName, 64, 2000, 0, 0, ""}, {"other", 64, 1500, 3, 700, ""}, {"third", 64, 0, 0, 0, "making the group: answered with 500"}},
	}
	add := func(contender, name string, size, clients int, cpu float64) {
		m.add(result{Contender: contender, Case: name, Size: size, Clients: clients, N: 3000, Seconds: 0.3 + cpu, P50: cpu * 2, P99: cpu * 20, CPU: cpu, Load: 0.04})
	}
	for i, clients := range []int{1, 16, 64} {
		more := 1 + float64(i)/100
		for _, twice := range []float64{0.9, 1.1} { // the floor is measured before and after
			add(floorName, caseCreate, 10_000, clients, 0.1*more*twice)
			add(floorName, caseGet, 10_000, clients, 0.05*more*twice)
		}
		add(oursName, caseCreate, 10_000, clients, 0.3*more)
		add(oursName, caseMail, 100_000, clients, 1.3*more)
		add(oursName, caseGet, 10_000, clients, 0.1*more)
		add(oursName, casePatch, 10_000, clients, 0.2*more)
		add("other", caseCreate, 10_000, clients, 0.7)
		add("other", caseGet, 10_000, clients, 0.5)
		add("other", casePatch, 10_000, clients, 0.6)
	}
	for _, n := range []int{1000, 10_000, 100_000} {
		for _, clients := range []int{1, 16} {
			add(oursName, caseLookup, n, clients, 0.14)
			add("other", caseLookup, n, clients, float64(n)/1000)
		}
		add(oursName, caseFirstPage, n, 1, 2)
		add(oursName, caseLastPage, n, 1, 2.5)
		add(oursName, caseAdd, n, 16, 0.2)
	}
	add(oursName, caseAdd, 10, 16, 0.19)
	m.Results = append(m.Results,
		result{Contender: "other", Case: caseFirstPage, Size: 100_000, Clients: 1, Note: "no answer within 20s"},
		result{Contender: "other", Case: caseLastPage, Size: 100_000, Clients: 1, Note: "no answer within 20s"},
		result{Contender: "other", Case: caseAdd, Size: 1000, Clients: 16, N: 4, Seconds: 3, P50: 700, P99: 800, CPU: 701.2, Note: "one client: 0.7 s each"})
	return m
}

// TestPage: the marked parts are renewed, the text around them stays, and doing
// it twice changes nothing.
func TestPage(t *testing.T) {
	const mine = "\nA sentence of the editor's.\n"
	page := "# Page\n" + mine
	for _, name := range []string{"run", "aims", "cpu", "rates", "latency", "memory", "lost", "missing"} {
		page += "\n## " + name + "\n\n<!-- measured: " + name + " -->\nold\n<!-- end: " + name + " -->\n"
	}
	got, plots, err := document(page, sample())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, "\nold\n") || !strings.Contains(got, mine) {
		t.Errorf("the parts were not renewed, or the text around them was:\n%s", got)
	}
	if again, _, err := document(got, sample()); err != nil || again != got {
		t.Errorf("writing the page again changes it: %v\n%s", err, again)
	}
	if _, _, err := document(strings.Replace(page, "<!-- end: lost -->", "", 1), sample()); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("a page without a mark is written: %v", err)
	}
	if *update {
		if err := os.WriteFile("testdata/page.md", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/page.md")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page differs from testdata/page.md; if that is meant, go test ./internal/peers -run TestPage -update\n%s", got)
	}
	if len(plots) != 6 {
		t.Errorf("there are %d plots, want 6", len(plots))
	}
	for name, svg := range plots {
		if !strings.Contains(svg, `<title>Gatehouse: `) {
			t.Errorf("the plot %s shows nothing of Gatehouse", name)
		}
	}
}

// TestDocument: docs/performance.md is what its results give; a figure changed
// by hand is told.
func TestDocument(t *testing.T) {
	docs := filepath.Join(moduleRoot, "docs")
	m, err := readResults(docs)
	if err != nil {
		t.Fatal(err)
	}
	text := ourPage(t)
	want, plots, err := document(text, m)
	if err != nil {
		t.Fatal(err)
	}
	const mend = "go run ./internal/peers -render"
	if text != want {
		t.Errorf("docs/performance.md is not what docs/performance/results.json gives; %s", mend)
	}
	for name, svg := range plots {
		got, err := os.ReadFile(filepath.Join(docs, "performance", name+".svg"))
		if err != nil || string(got) != svg {
			t.Errorf("docs/performance/%s.svg is not what results.json gives: %v; %s", name, err, mend)
		}
		if !strings.Contains(text, "(performance/"+name+".svg)") {
			t.Errorf("docs/performance.md does not show %s.svg", name)
		}
	}
}

// TestAims: each aim holds where it should, and misses where one figure is made
// worse.
func TestAims(t *testing.T) {
	change := func(contender, name string, size int, by float64) func(*measurements) {
		return func(m *measurements) {
			for i, r := range m.Results {
				if r.Contender == contender && r.Case == name && (size == 0 || r.Size == size) {
					m.Results[i].CPU *= by
					m.Results[i].Seconds *= by
					m.Results[i].P50 *= by
				}
			}
		}
	}
	for _, c := range []struct {
		worse  string
		change func(*measurements)
		misses []string // beginnings
	}{
		{"nothing", func(*measurements) {}, []string{"1. moonshot: create", "1. moonshot: GET"}},
		{"a peer's create", change("other", caseCreate, 0, 0.1), []string{"1. create: more"}},
		{"a peer's lookup at one size", change("other", caseLookup, 10_000, 0.01), []string{"1. userName eq: more"}},
		{"the floor's GET is cheaper", change(floorName, caseGet, 0, 0.5), []string{"1. CPU of GET", "1. CPU of userName eq ≤ 3 × the floor's GET, 1,000", "1. CPU of userName eq ≤ 3 × the floor's GET, 100,000"}},
		{"create", change(oursName, caseCreate, 0, 10), []string{"1. create: more", "1. CPU of create", "5. one client alone"}},
		{"PATCH", change(oursName, casePatch, 0, 10), []string{"1. PATCH: more", "1. CPU of PATCH", "1. moonshot: PATCH"}},
		{"additions to large groups", change(oursName, caseAdd, 100_000, 2), []string{"2. add a member: to 100,000 ≤ 1.2"}},
		{"all additions", change(oursName, caseAdd, 0, 3), []string{"2. add a member: ≤ 0.5"}},
		{"an addition lost", func(m *measurements) { m.Lost[0].Lost = 1 }, []string{"2. no acknowledged"}},
		{"the last page", change(oursName, caseLastPage, 100_000, 1.3), []string{"3. last page of 100,000"}},
		{"both pages", func(m *measurements) {
			change(oursName, caseFirstPage, 0, 2)(m)
			change(oursName, caseLastPage, 0, 2)(m)
		}, []string{"3. page of 100"}},
		{"memory", func(m *measurements) { m.Memory[2].MiB = 201 }, []string{"4. memory"}},
	} {
		m := sample()
		c.change(m)
		if c.worse != "nothing" {
			c.misses = append(c.misses, "1. moonshot: create", "1. moonshot: GET")
		}
		for _, a := range aims(m) {
			want := !slices.ContainsFunc(c.misses, func(beginning string) bool { return strings.HasPrefix(a.what, beginning) })
			if !a.known || a.holds != want {
				t.Errorf("with %s worse: %s: %s, holds %v, want %v", c.worse, a.what, a.measured, a.holds, want)
			}
		}
	}
	for _, a := range aims(&measurements{}) {
		if a.known {
			t.Errorf("without measurements %s is known: %s", a.what, a.measured)
		}
	}
}
