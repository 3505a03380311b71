package infra

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Units of capacity, as package ledger counts them and the tests of package
// provision hold them.
const (
	joinWU, changeWU, memberWU, feedWU, welcomeWU = 16, 4, 8, 8, 5
	getRU, lookupRU, pageRU                       = 1, 2, 27
)

// Prices in us-east-1, in dollars, without any free tier.
const (
	perWU, perRU        = 0.625e-6, 0.125e-6
	perGB               = 0.25 + 0.20 // a month: stored, and point-in-time recovery
	perRequest          = 1e-6
	perGBs, perCall     = 1.33334e-5, 0.2e-6
	perLogGB            = 0.50 + 0.03
	perMail             = 1e-4
	perSecret           = 0.40
	perMetric, perAlarm = 0.30, 0.10 // a month: a metric of our own, a metric that an alarm watches
)

// row is a line of the table in docs/operating.md, in dollars a month.
type row struct{ data, calls, logs, mail, watching float64 }

func (r row) String() string {
	return fmt.Sprintf("%.2f | %.2f | %.2f | %.2f | %.2f | **%.0f**", r.data, r.calls, r.logs, r.mail, r.watching, r.data+r.calls+r.logs+r.mail+r.watching)
}

// cost computes a month of so many users in so many organizations, by the
// assumptions that docs/operating.md states.
func cost(users, orgs float64) row {
	join, leave, move := 0.02*users, 0.02*users, 0.05*users
	const sweeps, groups = 43200, 5

	wu := join*(joinWU+feedWU+welcomeWU+15+groups*(memberWU+feedWU)) +
		leave*(joinWU+feedWU+groups*2*memberWU) + move*(changeWU+feedWU+memberWU+feedWU) +
		2*join + sweeps
	polls, pages := orgs*1080*3, users/100*4.33
	admins := orgs * 2000.0
	ru := join*(lookupRU+20) + leave*12 + move*6 + polls*2*getRU + users*lookupRU + pages*pageRU + admins*6 + 2*join*3 + sweeps*58
	requests := join*15 + leave*2 + move*3 + polls + pages + users + admins
	changes := join*(2+groups) + leave*(2+groups) + move*2
	calls := requests + changes + join + 2*join + sweeps
	seconds := requests*0.6*0.012 + changes*0.5*0.06 + join*0.25*0.25 + 2*join*0.25*0.03 + sweeps*0.25*0.1 // GB-seconds
	return row{
		data:     wu*perWU + ru*perRU + users*8e-6*perGB,
		calls:    requests*perRequest + seconds*perGBs + calls*perCall + 0.26, // the queue that Lambda polls
		logs:     (calls*1.1e-6 + requests*0.25e-6) * perLogGB,
		mail:     join * perMail,
		watching: perSecret + 3*perMetric + 25*perAlarm,
	}
}

// TestCosts holds the figures in docs/operating.md to the assumptions and units.
func TestCosts(t *testing.T) {
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name        string
		users, orgs float64
	}{{"100", 100, 1}, {"10,000", 10e3, 20}, {"1,000,000", 1e6, 500}} {
		want := fmt.Sprintf("| %s | %.0f | %v |", c.name, c.orgs, cost(c.users, c.orgs))
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/operating.md has no line %s", want)
		}
	}
}

// The alarms' metrics are what costs most in a small stack.
func TestAlarmMetricsAreCounted(t *testing.T) {
	s, err := newScope(translation(t), all)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, id := range s.declared("AWS::CloudWatch::Alarm") {
		p, err := s.properties(id)
		if err != nil {
			t.Fatal(err)
		}
		if p["MetricName"] != nil {
			n++
		}
		for _, m := range list(p["Metrics"]) {
			if dig(m, "MetricStat") != nil {
				n++
			}
		}
	}
	if n != 25 {
		t.Errorf("the alarms watch %d metrics; the costs in docs/operating.md say 25", n)
	}
}
