package scimhttp_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/internal/scim/value"
)

// answer is what came back.
type answer struct {
	testing.TB
	asked  string
	status int
	header http.Header
	body   []byte
	tree   value.Value
}

// want fails the test unless the status is the one.
func (a answer) want(status int) answer {
	a.Helper()
	if a.status != status {
		a.Fatalf("%s = %d, want %d; body %.2000s", a.asked, a.status, status, a.body)
	}
	return a
}

// refused fails the test unless the answer is a SCIM error (RFC 7644 §3.12) of
// the status and type.
func (a answer) refused(status int, scimType string) answer {
	a.Helper()
	a.want(status)
	if ct := a.header.Get("Content-Type"); ct != "application/scim+json" && ct != "application/json" {
		a.Errorf("%s: Content-Type of the error = %q, want application/scim+json", a.asked, ct)
	}
	for path, want := range map[string]string{"schemas.0": errorURN, "status": strconv.Itoa(status), "scimType": scimType} {
		if got := a.at(path); got.Text() != want || want != "" && got.Kind() != value.String {
			a.Errorf("%s: %s of the error = %q, want the string %q", a.asked, path, got.Text(), want)
		}
	}
	if a.text("detail") == "" {
		a.Errorf("%s: the error has no detail", a.asked)
	}
	return a
}

// at walks along names and indexes with dots between them.
func (a answer) at(path string) value.Value {
	v := a.tree
	for p := range strings.SplitSeq(path, ".") {
		if i, err := strconv.Atoi(p); err == nil && v.Kind() == value.Array {
			if i >= len(v.Elements()) {
				return value.Value{}
			}
			v = v.Elements()[i]
			continue
		}
		v = v.Get(p)
	}
	return v
}

func (a answer) text(path string) string { return a.at(path).Text() }

// is fails the test unless the value at the path is the JSON text.
func (a answer) is(path, want string) answer {
	a.Helper()
	got := a.at(path)
	if got.Kind() == value.Absent {
		a.Errorf("%s: %s is absent, want %s; body %.2000s", a.asked, path, want, a.body)
	} else if s := string(got.Append(nil)); s != want {
		a.Errorf("%s: %s = %s, want %s", a.asked, path, s, want)
	}
	return a
}

func (a answer) lacks(path string) answer {
	a.Helper()
	if got := a.at(path); got.Kind() != value.Absent {
		a.Errorf("%s: %s = %s, want nothing", a.asked, path, got.Append(nil))
	}
	return a
}

// ids are those of a list's resources, in their order.
func (a answer) ids() []string {
	out := []string{}
	for _, r := range a.at("Resources").Elements() {
		out = append(out, r.Get("id").Text())
	}
	return out
}

// list fails the test unless the answer is a list whose total and resources are
// the ids, in any order.
func (a answer) list(ids ...string) answer {
	a.Helper()
	a.want(200).is("schemas.0", strconv.Quote(listURN)).is("totalResults", strconv.Itoa(len(ids)))
	got := a.ids()
	ids = slices.Clone(ids)
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		a.Errorf("%s: ids %v, want %v", a.asked, got, ids)
	}
	return a
}
