package infra

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/app"
)

var least = map[string]string{"MailFrom": "no-reply@example.com"}

func read(t *testing.T, more ...string) *Stack {
	t.Helper()
	params := maps.Clone(least)
	for i := 0; i < len(more); i += 2 {
		params[more[i]] = more[i+1]
	}
	s, err := Read(params)
	if err != nil {
		t.Fatalf("Read(%v): %v", params, err)
	}
	return s
}

func TestRead(t *testing.T) {
	s := read(t)
	if got, want := slices.Sorted(maps.Keys(s.Functions)), []string{"discarded", "feed", "mailevents", "portal", "scim", "sweep", "welcome"}; !slices.Equal(got, want) {
		t.Errorf("Read has the functions %v, want %v", got, want)
	}
	routes := map[string]string{}
	for _, r := range s.Routes {
		routes[r.Key] = r.Function
	}
	if want := map[string]string{"$default": "portal", "ANY /scim/v2": "scim", "ANY /scim/v2/{proxy+}": "scim"}; !maps.Equal(routes, want) {
		t.Errorf("Read has the routes %v, want %v", routes, want)
	}
	if s.Name != "gatehouse" || s.Table != "gatehouse" || s.ConfigurationSet != "gatehouse" || s.URL != "https://api.execute-api.us-east-1.amazonaws.com" {
		t.Errorf("Read = %+v", s)
	}
	feed := s.Functions["feed"]
	if feed.Name != "gatehouse-feed" || feed.ARN != "arn:aws:lambda:us-east-1:123456789012:function:gatehouse-feed" || feed.Timeout != 2*time.Minute || feed.Memory != 512 || len(feed.Streams) != 1 {
		t.Fatalf("Read has the feed as %+v", feed)
	}
	m := feed.Streams[0]
	queue := "arn:aws:sqs:us-east-1:123456789012:gatehouse-discarded"
	if m.BatchSize != 100 || m.Window != 0 || m.Parallel != 2 || !m.Bisect || m.Retries != 10000 || m.MaxAge != 6*time.Hour || !m.Partial || m.OnFailure != queue {
		t.Errorf("Read has the feed's mapping as %+v", m)
	}
	d := s.Functions["discarded"]
	if len(d.Queues) != 1 || d.Queues[0] != (QueueSource{Queue: queue, BatchSize: 1, Partial: true}) {
		t.Errorf("Read has the discarded batches' queue as %+v", d.Queues)
	}
	if q := s.Queues[queue]; q.Visibility != 30*time.Minute || q.MaxReceive != 5 || q.Dead != queue+"-dead" || s.Queues[q.Dead].Dead != "" {
		t.Errorf("Read has the queue as %+v", q)
	}
	if got := s.Functions["sweep"].Schedules; len(got) != 1 || got[0].Every != time.Minute {
		t.Errorf("Read has the sweep's schedules as %v", got)
	}
	if got := s.Functions["mailevents"].Rules; len(got) != 1 || string(got[0].Pattern) != `{"detail":{"mail":{"tags":{"ses:configuration-set":["gatehouse"]}}},"source":["aws.ses"]}` {
		t.Errorf("Read has the rules of mail events as %s", got)
	}
}

// The names in each function's environment are what package aws asks for.
func TestEnvironment(t *testing.T) {
	s := read(t, "DomainName", "gate.example.com", "CertificateId", "00000000-0000-0000-0000-000000000000", "MailLimit", "50", "ScimRate", "60")
	every := []string{"GATEHOUSE_TABLE", "GOGC", "GOMEMLIMIT"} // the last two are for Go itself
	served := append([]string{"GATEHOUSE_SECRET", "GATEHOUSE_URL"}, every...)
	limiting := append([]string{"GATEHOUSE_SCIM_RATE"}, served...) // the portal shows it
	sending := append([]string{"GATEHOUSE_MAIL_FROM", "GATEHOUSE_MAIL_LIMIT", "GATEHOUSE_MAIL_SET"}, served...)
	for folder, want := range map[string][]string{
		"scim": limiting, "portal": limiting, "feed": served, "mailevents": served,
		"welcome": sending, "sweep": sending, "discarded": every,
	} {
		env := s.Functions[folder].Env
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(env)); !slices.Equal(got, want) {
			t.Errorf("the environment of %s has %v, want %v", folder, got, want)
		}
		for name, want := range map[string]string{
			"GATEHOUSE_TABLE": s.Table, "GATEHOUSE_SECRET": s.Secret, "GATEHOUSE_URL": "https://gate.example.com",
			"GATEHOUSE_MAIL_FROM": "no-reply@example.com", "GATEHOUSE_MAIL_SET": s.ConfigurationSet, "GATEHOUSE_MAIL_LIMIT": "50", "GATEHOUSE_SCIM_RATE": "60",
		} {
			if got, ok := env[name]; ok && got != want {
				t.Errorf("%s of %s is %q, want %q", name, folder, got, want)
			}
		}
	}
}

// A restored table takes the place of the stack's own everywhere at once.
func TestRestored(t *testing.T) {
	s := read(t, "RestoredTable", "gatehouse-back", "RestoredStream", "2026-11-22T10:00:00.000")
	table := "arn:aws:dynamodb:us-east-1:123456789012:table/"
	if s.Table != "gatehouse-back" {
		t.Errorf("the table that is served is %q", s.Table)
	}
	for folder, f := range s.Functions {
		if f.Env["GATEHOUSE_TABLE"] != "gatehouse-back" {
			t.Errorf("%s serves %q", folder, f.Env["GATEHOUSE_TABLE"])
		}
		for _, st := range f.Policy {
			for _, r := range st.Resources {
				if strings.HasPrefix(r, table) && !strings.HasPrefix(r, table+"gatehouse-back") {
					t.Errorf("%s may use %s besides the restored table", folder, r)
				}
			}
		}
	}
	if s.Secret != read(t).Secret {
		t.Errorf("a copy of the stack's own table is served with the key %q", s.Secret)
	}
	kept := read(t, "RestoredTable", "gone", "RestoredStream", "2026-11-22T10:00:00.000", "RestoredKey", keptKey)
	if kept.Secret != keptKey || kept.Functions["scim"].Env["GATEHOUSE_SECRET"] != keptKey {
		t.Errorf("the table of another stack is served with the key %q", kept.Secret)
	}
	if !s.Functions["feed"].Allows(Call{Action: "dynamodb:GetRecords", Resource: table + "gatehouse-back/stream/2026-11-22T10:00:00.000"}) {
		t.Error("the feed may not read the restored table's stream")
	}
}

// Each of the feed's consumers has one mapping, whose filter names it.
func TestFiltersNameTheSubscriptions(t *testing.T) {
	s := read(t)
	want := map[string]string{
		app.FeedName:    `{"eventName":["INSERT"],"dynamodb":{"NewImage":{"f":{"S":["feed"]}}}}`,
		app.WelcomeName: `{"dynamodb":{"NewImage":{"f":{"S":["welcome"]}}}}`,
	}
	for _, sub := range app.Subscriptions() {
		f := s.Functions[sub.Name]
		if len(f.Streams) != 1 || len(f.Streams[0].Filters) != 1 || string(f.Streams[0].Filters[0]) != want[sub.Name] {
			t.Errorf("the mappings of the subscription %q are %+v, want one with the filter %s", sub.Name, f.Streams, want[sub.Name])
		}
		delete(want, sub.Name)
	}
	if len(want) > 0 {
		t.Errorf("the product has no subscription %v", slices.Collect(maps.Keys(want)))
	}
}

func TestReadRefuses(t *testing.T) {
	for _, c := range []struct {
		params map[string]string
		want   string
	}{
		{nil, "MailFrom needs a value"},
		{map[string]string{"MailFrom": "no address"}, "does not fit"},
		{map[string]string{"MailFrom": "a@b.example", "Colour": "red"}, "no parameter Colour"},
		{map[string]string{"MailFrom": "a@b.example", "MailTls": "SOMETIMES"}, "is none of"},
		{map[string]string{"MailFrom": "a@b.example", "CertificateId": "x"}, "does not fit"},
		{map[string]string{"MailFrom": "a@b.example", "RestoredKey": "gone/server-key"}, "does not fit"},
		{map[string]string{"MailFrom": "a@b.example", "RestoredKey": strings.TrimSuffix(keptKey, "-GhIjKl")}, "does not fit"},
	} {
		if _, err := Read(c.params); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Read(%v) = %v, want an error with %q", c.params, err, c.want)
		}
	}
}

func TestResolveRefuses(t *testing.T) {
	const head = "Parameters: {P: {Type: String, Default: x}}\nConditions: {Yes: !Equals [!Ref P, x]}\nResources:\n  Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Q}}\n  R: {Type: AWS::X::Y}\n"
	for _, c := range []struct{ value, want string }{
		{"!Ref Nothing", "no resource or parameter"},
		{"!Ref R", "Ref of AWS::X::Y is not known"},
		{"!Ref Q", "depends on itself"},
		{"!GetAtt R.Arn", "Arn of AWS::X::Y is not known"},
		{"!GetAtt Nothing.Arn", "no resource or parameter"},
		{"!Sub '${Nothing}'", "no resource or parameter"},
		{"!Sub '${R.Arn}'", "not known"},
		{"!Sub {a: b}", "not in a form"},
		{"!If [No, a, b]", "no condition"},
		{"!If [Yes, a]", "not in a form"},
		{"!Select [7, [a]]", "not in a form"},
		{"!Split [',', [a]]", "not in a form"},
		{"!Join [',', a]", "not in a form"},
		{"!Cidr [a, b, c]", "not a function that is known"},
		{"!ImportValue x", "not a function that is known"},
	} {
		doc, err := parse([]byte(head + "V: " + c.value + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := newScope(doc, nil)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := s.resolve(doc["V"], "V"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v, %v; want an error with %q", c.value, v, err, c.want)
		}
	}
	for _, bad := range []string{"", "- a", "a: &x 1\nb: *x", "a: 1\na: 2", "a: [", "a: !!int x"} {
		if _, err := parse([]byte(bad)); err == nil {
			t.Errorf("parse(%q) gives no error", bad)
		}
	}
}

func TestParseRate(t *testing.T) {
	for in, want := range map[string]time.Duration{"rate(1 minute)": time.Minute, "rate(5 minutes)": 5 * time.Minute, "rate(1 day)": 24 * time.Hour} {
		if got, err := parseRate(in); err != nil || got != want {
			t.Errorf("parseRate(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "rate()", "rate(1)", "rate(0 minutes)", "cron(0 12 * * ? *)", "rate(1 minute"} {
		if got, err := parseRate(bad); err == nil {
			t.Errorf("parseRate(%q) = %v, want an error", bad, got)
		}
	}
}
