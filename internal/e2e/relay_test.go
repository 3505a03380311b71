package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fakes/smtp"
)

// TestCanaryRelay sends mails through a server that refuses them with words of
// its own about the recipient, stalls, and drops: none of it may be logged, and
// who is welcome gets one mail.
func TestCanaryRelay(t *testing.T) {
	const refused, late, dropped = "refused-kanari@aviary.test", "late-kanari@aviary.test", "dropped-kanari@aviary.test"
	relay := smtp.Start(t, smtp.Options{Script: func(v smtp.Visit) smtp.Action {
		switch {
		case v.Phase == smtp.To && v.Recipient == refused:
			return smtp.Action{Code: 550, Enhanced: [3]int{5, 1, 1}, Text: "no such person: " + refused}
		case v.Phase == smtp.To && v.Recipient == late && v.Times == 0:
			return smtp.Action{Code: 451, Enhanced: [3]int{4, 3, 0}, Text: "later, " + late}
		case v.Phase == smtp.Data && v.Recipient == dropped && v.Times == 0:
			return smtp.Action{Drop: true}
		}
		return smtp.Action{}
	}})
	s := start(t, options{flags: relayed(relay.Host, relay.Port)})
	c := s.client("")
	for _, address := range []string{refused, late, dropped, "ana@corp.test"} {
		c.user(t, address, object{"name": object{"givenName": canaries["a given name"], "familyName": canaries["a family name"]}})
	}
	eventually(t, 10*time.Second, func() error {
		for _, m := range relay.Mails() {
			if m.To == "ana@corp.test" {
				return nil
			}
		}
		return fmt.Errorf("no mail to ana@corp.test through the relay")
	})
	eventually(t, 10*time.Second, func() error {
		for _, code := range []string{"550 5.1.1", "451 4.3.0"} {
			if !strings.Contains(s.log.String(), code) {
				return fmt.Errorf("the log does not tell of %s", code)
			}
		}
		return nil
	})
	if a := (&client{}).send(t, "GET", s.root()+"/inbox", nil); a.status != 404 {
		t.Errorf("the inbox beside an SMTP server = %d, want 404", a.status)
	}
	if err := s.stop(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
	values := map[string]string{"the refused address": refused, "the late address": late, "the dropped address": dropped, "the token": s.Token,
		"a given name": canaries["a given name"], "a family name": canaries["a family name"]}
	for _, what := range leaks(s.log.String(), values) {
		t.Errorf("%s stands in the log", what)
	}
}
