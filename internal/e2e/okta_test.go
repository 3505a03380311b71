package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// oktaTest is Okta's SPEC test as Runscope exports it; pauses, scripts and the
// trigger's address are not read.
type oktaTest struct {
	Steps []struct {
		Type       string              `json:"step_type"`
		Note       string              `json:"note"`
		Method     string              `json:"method"`
		URL        string              `json:"url"`
		Body       string              `json:"body"`
		Headers    map[string][]string `json:"headers"`
		Assertions []oktaAssertion     `json:"assertions"`
		Variables  []struct {
			Name     string `json:"name"`
			Source   string `json:"source"`
			Property string `json:"property"`
		} `json:"variables"`
	} `json:"steps"`
}

type oktaAssertion struct {
	Comparison string `json:"comparison"`
	Source     string `json:"source"`
	Property   string `json:"property"`
	Value      string `json:"value"`
}

// oktaVariables are those that Okta's instructions tell to set.
func oktaVariables(base, token string) map[string]string {
	n := rand.IntN(1 << 30)
	mail := fmt.Sprintf("runscope%d@atko.example", n)
	return map[string]string{
		"SCIMBaseURL":            base,
		"auth":                   "Bearer " + token,
		"randomGivenName":        fmt.Sprintf("Runscope%d", n),
		"randomFamilyName":       fmt.Sprintf("Family%d", n),
		"randomEmail":            mail,
		"randomUsername":         mail,
		"randomUsernameCaps":     strings.ToUpper(mail),
		"InvalidUserEmail":       "abcdefgh@atko.example",
		"UserIdThatDoesNotExist": "123456789012345678901234567890",
	}
}

// runOkta makes the requests in their order and returns how many assertions
// held, and a sentence for each that did not.
func runOkta(t testing.TB, test oktaTest, vars map[string]string) (held int, failed []string) {
	t.Helper()
	fill := func(s string) string {
		for name, value := range vars {
			s = strings.ReplaceAll(s, "{{"+name+"}}", value)
		}
		return s
	}
	for _, step := range test.Steps {
		if step.Type != "request" {
			continue
		}
		var headers []string
		for name, values := range step.Headers {
			headers = append(headers, name, fill(strings.Join(values, ", ")))
		}
		// The file's URLs hold raw spaces and quotes.
		url := strings.NewReplacer(" ", "%20", `"`, "%22").Replace(fill(step.URL))
		var body any
		if step.Body != "" {
			body = fill(step.Body)
		}
		a := (&client{}).send(t, step.Method, url, body, headers...)
		for _, x := range step.Assertions {
			x.Value = fill(x.Value)
			if problem := x.check(a); problem != "" {
				failed = append(failed, fmt.Sprintf("%s: %s: %s", step.Note, a.asked, problem))
			} else {
				held++
			}
		}
		for _, v := range step.Variables {
			if v.Source == "response_json" {
				vars[v.Name] = a.text(v.Property)
			}
		}
	}
	return held, failed
}

// check returns what is wrong with the answer, or nothing.
func (x oktaAssertion) check(a answer) string {
	var got any
	found := true
	switch x.Source {
	case "response_status":
		got = json.Number(strconv.Itoa(a.status))
	case "response_time":
		got = json.Number(strconv.FormatInt(a.took.Milliseconds(), 10))
	case "response_json":
		got, found = lookup(a.tree, x.Property)
	default:
		return "unknown source " + x.Source
	}
	ok := false
	switch x.Comparison {
	case "equal":
		ok = found && plain(got) == x.Value
	case "equal_number":
		number, isNumber := got.(json.Number)
		g, err1 := number.Float64()
		w, err2 := strconv.ParseFloat(x.Value, 64)
		ok = isNumber && err1 == nil && err2 == nil && g == w
	case "not_empty":
		ok = found && !empty(got)
	case "has_value":
		list, _ := got.([]any)
		ok = slices.ContainsFunc(list, func(v any) bool { return plain(v) == x.Value })
	case "is_a_number":
		_, ok = got.(json.Number)
	case "contains":
		ok = found && strings.Contains(plain(got), x.Value)
	case "is_less_than":
		g, err1 := strconv.ParseFloat(plain(got), 64)
		w, err2 := strconv.ParseFloat(x.Value, 64)
		ok = err1 == nil && err2 == nil && g < w
	default:
		return "unknown comparison " + x.Comparison
	}
	if ok {
		return ""
	}
	return fmt.Sprintf("%s %s = %s, want %s %q", x.Source, x.Property, show(got, found), x.Comparison, x.Value)
}

func readOkta(t testing.TB) oktaTest {
	t.Helper()
	data, err := os.ReadFile("testdata/okta/Okta-SCIM-20-SPEC-Test.json")
	if err != nil {
		t.Fatal(err)
	}
	var test oktaTest
	if err := json.Unmarshal(data, &test); err != nil {
		t.Fatal(err)
	}
	return test
}

const oktaAssertions = 52

// TestOkta runs Okta's published SPEC test. It asks for a first user with
// names, so one is created before.
func TestOkta(t *testing.T) { okta(t, &start(t, options{}).site) }

func okta(t *testing.T, s *site) {
	t.Helper()
	s.client("").user(t, "first@corp.test")
	held, failed := runOkta(t, readOkta(t), oktaVariables(s.SCIM, s.Token))
	for _, f := range failed {
		t.Error(f)
	}
	if held != oktaAssertions {
		t.Errorf("%d of %d assertions held", held, oktaAssertions)
	}
}
