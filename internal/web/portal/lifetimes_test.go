package portal

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/org"
)

// option is one choice of a form on the page.
type option struct {
	value, text string
	chosen      bool
}

// options are those of the form with the action.
func options(a answer, action string) (all []option) {
	form := regexp.MustCompile(`(?s)<form[^>]* action="` + regexp.QuoteMeta(action) + `".*?</form>`).FindString(a.body)
	for _, m := range regexp.MustCompile(`<option value="([^"]+)"( selected)?>([^<]+)</option>`).FindAllStringSubmatch(form, -1) {
		all = append(all, option{m[1], m[3], m[2] != ""})
	}
	return all
}

// What is issued is good for as long as the form says, to the day.
func TestLifetimes(t *testing.T) {
	k := newKeys(t)
	tokens := k.path + "/tokens"
	day := 24 * time.Hour
	secrets := k.path + "/clients/" + string(k.client("Entra ID").ID) + "/secrets"
	n := 0
	for _, of := range []struct {
		name  string
		to    string
		lives map[string]time.Duration
		usual string
	}{
		{"tokens", tokens, map[string]time.Duration{"90 days": 90 * day, "1 year": 365 * day, "2 years": 730 * day, "No fixed time": 0}, "No fixed time"},
		{"secrets", secrets, map[string]time.Duration{"90 days": 90 * day, "1 year": 365 * day, "2 years": 730 * day, "3 years": 1095 * day}, "2 years"},
	} {
		offered := options(k.page(), of.to)
		if len(offered) != len(of.lives) {
			t.Errorf("the form for %s offers %v, want %v", of.name, offered, of.lives)
		}
		for _, o := range offered {
			k.now = k.now.Add(time.Minute)
			name, end, _ := strings.Cut(strings.Replace(o.text, ":", ",", 1), ", until ")
			life, ok := of.lives[name]
			if !ok || o.chosen != (name == of.usual) {
				t.Errorf("the form for %s offers %q, chosen before anybody does: %v", of.name, o.text, o.chosen)
			}
			ends := "Not until revoked"
			if life > 0 {
				ends = k.now.Add(life).Format("2 Jan 2006")
				if end != ends {
					t.Errorf("%q is to end on %s", o.text, ends)
				}
			}
			page := k.page()
			k.b.post(page, of.to, "seen", seen(page, of.to), "lifetime", o.value).want(t, 200, ends)
			n++
			all := k.all(n)
			got := all[n-1].Expires
			if life == 0 && !got.IsZero() || life > 0 && !got.Equal(k.now.Add(life).Truncate(time.Millisecond)) {
				t.Errorf("%q of %s ends %v", o.text, of.name, got)
			}
			k.page().want(t, 200, ends)
		}
		for _, bad := range []string{"", "4-years", "8760h", "-1", "1-Year", "90-days ", strings.Repeat("9", 5000)} {
			page := k.page()
			k.b.post(page, of.to, "seen", seen(page, of.to), "lifetime", bad).want(t, 400, "Nothing was changed.")
		}
		k.all(n)
	}
	// A secret has an end, whatever is sent; and a page from before there was a
	// choice issues what is usual.
	page := k.page()
	k.b.post(page, secrets, "seen", seen(page, secrets), "lifetime", untilEnded.Value).want(t, 400)
	k.b.post(page, tokens, "seen", seen(page, tokens), "lifetime", threeYears.Value).want(t, 400)
	k.b.post(page, secrets, "seen", seen(page, secrets)).want(t, 200, k.now.Add(org.SecretLife).Format("2 Jan 2006"))
	k.b.post(page, tokens, "seen", seen(page, tokens)).want(t, 200, "Not until revoked")
	k.all(n + 2)
	for _, l := range secretLives.All {
		if l.Life <= 0 || l.Life > org.MaxSecretLife {
			t.Errorf("%s is offered for secrets, which package org refuses", l.Value)
		}
	}
}
