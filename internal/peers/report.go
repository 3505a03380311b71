package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/peers/plot"
)

// document renews the generated parts of the page's text, which stand between
// marks, and draws its plots, by name. All other text is kept.
func document(text string, m *measurements) (renewed string, plots map[string]string, err error) {
	for _, part := range []struct{ name, text string }{
		{"run", runText(m)},
		{"aims", aimsTable(m)},
		{"cpu", resultsTable(m, func(r result) string { return digits(r.CPU) })},
		{"rates", resultsTable(m, func(r result) string { return thousandsOf(r.rate()) })},
		{"latency", resultsTable(m, func(r result) string { return digits(r.P50) + " / " + digits(r.P99) })},
		{"memory", memoryTable(m)},
		{"lost", lostTable(m)},
		{"missing", missing(m)},
	} {
		begin, end := fmt.Sprintf("<!-- measured: %s -->\n", part.name), fmt.Sprintf("<!-- end: %s -->", part.name)
		before, rest, ok1 := strings.Cut(text, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok1 || !ok2 {
			return "", nil, fmt.Errorf("the page has no part between %s and %s", strings.TrimSpace(begin), end)
		}
		text = before + begin + "\n" + part.text + "\n" + end + after
	}
	return text, charts(m), nil
}

func runText(m *measurements) string {
	var b strings.Builder
	what := "The whole run"
	if m.Plan != whole.name {
		what = "**A short run: it shows that everything runs, not how fast**"
	}
	fmt.Fprintf(&b, "%s, %s, %.0f minutes.\n\n| the machine | |\n|---|---|\n", what, m.Date, m.Minutes)
	for _, f := range m.Machine {
		fmt.Fprintf(&b, "| %s | %s |\n", f.What, f.Is)
	}
	fmt.Fprintf(&b, "| disk | 4 KiB appended and synced in %.2f ms, written in place and synced in %.2f ms |\n", m.Fsync.Append, m.Fsync.InPlace)
	if r, ok := m.sized(floorName, caseGet, 0, 16); ok && r.Load > 0 {
		fmt.Fprintf(&b, "| the load itself | %s CPU seconds per 1,000 GETs of the floor |\n", digits(r.Load))
	}
	b.WriteString("\n| measured | version | what it is |\n|---|---|---|\n")
	for _, c := range m.Contenders {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.Name, c.Version, c.About)
	}
	return b.String()
}

// caseOrder is the order of the tables' lines.
var caseOrder = []string{caseCreate, caseMail, caseGet, casePatch, caseLookup, caseAdd, caseFirstPage, caseLastPage}

// line is a case as the tables name it.
type line struct {
	name          string
	size, clients int
}

func (l line) String() string {
	switch l.name {
	case caseLookup:
		return fmt.Sprintf("%s, %s users, %s", l.name, thousands(l.size), count(l.clients, "client"))
	case caseAdd:
		return fmt.Sprintf("%s, group of %s, %s", l.name, thousands(l.size), count(l.clients, "client"))
	case caseFirstPage, caseLastPage:
		return fmt.Sprintf("%s, %s users, %s", l.name, thousands(l.size), count(l.clients, "client"))
	}
	return fmt.Sprintf("%s, %s", l.name, count(l.clients, "client"))
}

func (m *measurements) lines() []line {
	var lines []line
	for _, r := range m.Results {
		if l := (line{r.Case, r.Size, r.Clients}); !slices.Contains(lines, l) {
			lines = append(lines, l)
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		return cmp.Or(cmp.Compare(slices.Index(caseOrder, a.name), slices.Index(caseOrder, b.name)),
			cmp.Compare(a.size, b.size), cmp.Compare(a.clients, b.clients))
	})
	return lines
}

func (m *measurements) header(first string) string {
	var b strings.Builder
	b.WriteString("| " + first)
	for _, c := range m.Contenders {
		b.WriteString(" | " + c.Name)
	}
	b.WriteString(" |\n|---" + strings.Repeat("|--:", len(m.Contenders)) + "|\n")
	return b.String()
}

// resultsTable has a line for each case and a column for each contender. An
// empty cell is a case that the contender is not asked for, – one that it was
// and that was not measured, * one that was measured otherwise: missing tells
// why.
func resultsTable(m *measurements, cell func(result) string) string {
	var b strings.Builder
	b.WriteString(m.header("case"))
	for _, l := range m.lines() {
		fmt.Fprintf(&b, "| %s", l)
		for _, c := range m.Contenders {
			text := ""
			for _, r := range m.Results {
				if r.Contender != c.Name || (line{r.Case, r.Size, r.Clients}) != l {
					continue
				}
				switch {
				case r.N == 0:
					text = "–"
				case r.Note != "":
					text = cell(r) + "*"
				default:
					text = cell(r)
				}
			}
			b.WriteString(" | " + text)
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

func memoryTable(m *measurements) string {
	var sizes []int
	for _, x := range m.Memory {
		if !slices.Contains(sizes, x.Users) {
			sizes = append(sizes, x.Users)
		}
	}
	slices.Sort(sizes)
	var b strings.Builder
	b.WriteString(m.header("MiB resident, with users"))
	for _, n := range sizes {
		b.WriteString("| " + thousands(n))
		for _, c := range m.Contenders {
			text := "–"
			for _, x := range m.Memory {
				if x.Contender == c.Name && x.Users == n {
					text = thousandsOf(x.MiB)
				}
			}
			b.WriteString(" | " + text)
		}
		b.WriteString(" |\n")
	}
	return b.String()
}

func lostTable(m *measurements) string {
	var b strings.Builder
	b.WriteString("| | acknowledged | refused | acknowledged and lost |\n|---|--:|--:|--:|\n")
	for _, l := range m.Lost {
		lost := thousands(l.Lost)
		if l.Note != "" {
			lost = l.Note
		}
		fmt.Fprintf(&b, "| %s, %s | %s | %s | %s |\n", l.Contender, count(l.Clients, "client"), thousands(l.Acknowledged), thousands(l.Refused), lost)
	}
	return b.String()
}

func missing(m *measurements) string {
	type group struct{ contender, note string }
	var order []group
	cases := map[group][]string{}
	for _, r := range m.Results {
		if r.Note == "" {
			continue
		}
		g := group{r.Contender, r.Note}
		if cases[g] == nil {
			order = append(order, g)
		}
		cases[g] = append(cases[g], line{r.Case, r.Size, r.Clients}.String())
	}
	if len(order) == 0 {
		return "Every case was measured as it is named.\n"
	}
	var b strings.Builder
	for _, g := range order {
		fmt.Fprintf(&b, "- %s: %s: %s\n", g.contender, strings.Join(cases[g], "; "), g.note)
	}
	return b.String()
}

// digits writes a number with three digits that count.
func digits(v float64) string {
	switch {
	case v >= 100:
		return thousandsOf(v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

func thousandsOf(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return thousands(int(v + 0.5))
}

// charts draws the plots of the page.
func charts(m *measurements) map[string]string {
	cpu := func(r result) float64 { return r.CPU }
	rate := result.rate
	size := m.largest(caseLookup)
	for _, r := range m.Results { // the size at which most were measured
		if r.Case == caseGet {
			size = r.Size
		}
	}
	wide := []line{{caseCreate, size, 16}, {caseGet, size, 16}, {casePatch, size, 16}, {caseLookup, size, 16}}
	labels := []string{"create", "GET", "PATCH", "userName eq"}
	beneath := fmt.Sprintf("request, from 16 clients; %s users", thousands(size))
	return map[string]string{
		"cpu": plot.Chart{Title: "What a request costs the server", Y: "CPU seconds per 1,000 requests", X: beneath,
			Labels: labels, Series: m.over(wide, cpu)}.SVG(),
		"rates": plot.Chart{Title: "How many requests a second", Y: "requests a second", X: beneath,
			Labels: labels, Series: m.over(wide, rate)}.SVG(),
		"lookup": plot.Chart{Title: "Finding a user by userName", Y: "CPU seconds per 1,000 lookups, one client", X: "users, logarithmic",
			Series: m.along(caseLookup, 1, cpu)}.SVG(),
		"members": plot.Chart{Title: "Adding one member to a group", Y: "CPU seconds per 1,000 additions", X: "members of the group, logarithmic",
			Series: m.along(caseAdd, 16, cpu)}.SVG(),
		"pages": plot.Chart{Title: "The last page of 100 users", Y: "CPU seconds per 1,000 pages, one client", X: "users, logarithmic",
			Series: m.along(caseLastPage, 1, cpu)}.SVG(),
		"memory": plot.Chart{Title: "Memory", Y: "MiB resident", X: "users, logarithmic", Series: m.memories()}.SVG(),
	}
}

// over gives each contender's values of the lines.
func (m *measurements) over(lines []line, value func(result) float64) []plot.Series {
	var all []plot.Series
	for _, c := range m.Contenders {
		s := plot.Series{Name: c.Name}
		for i, l := range lines {
			if r, ok := m.find(c.Name, l.name, l.size, l.clients); ok {
				s.Points = append(s.Points, plot.Point{X: float64(i), Y: value(r)})
			}
		}
		all = append(all, s)
	}
	return all
}

// along gives each contender's values of a case, by its size.
func (m *measurements) along(name string, clients int, value func(result) float64) []plot.Series {
	var all []plot.Series
	for _, c := range m.Contenders {
		s := plot.Series{Name: c.Name}
		for _, r := range m.Results {
			if r.Contender == c.Name && r.Case == name && r.Clients == clients && r.N > 0 {
				s.Points = append(s.Points, plot.Point{X: float64(r.Size), Y: value(r)})
			}
		}
		all = append(all, s)
	}
	return all
}

func (m *measurements) memories() []plot.Series {
	var all []plot.Series
	for _, c := range m.Contenders {
		s := plot.Series{Name: c.Name}
		for _, x := range m.Memory {
			if x.Contender == c.Name && !slices.ContainsFunc(s.Points, func(p plot.Point) bool { return p.X == float64(x.Users) }) {
				s.Points = append(s.Points, plot.Point{X: float64(x.Users), Y: x.MiB})
			}
		}
		all = append(all, s)
	}
	return all
}

// thousands writes a number with commas.
func thousands(n int) string {
	text := fmt.Sprint(n)
	var parts []string
	for len(text) > 3 {
		parts = append([]string{text[len(text)-3:]}, parts...)
		text = text[:len(text)-3]
	}
	return strings.Join(append([]string{text}, parts...), ",")
}
