package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestBrowserStarts tells a browser that is missing or broken from a page that
// is wrong.
func TestBrowserStarts(t *testing.T) {
	b := openBrowser(t)
	s := fakeForm(t)
	b.in("de")
	b.do("cookies", clearCookies, chromedp.Navigate(s.URL+"/start"))
	b.fillPasswords("secret words")
	b.says("Welcome secret words secret words token null")
	if said := b.complain.String(); said != "" {
		t.Errorf("a page without fault is complained of: %s", said)
	}
	b.do("a page that breaks its policy", chromedp.Navigate(s.URL+"/complaint"))
	eventually(t, 5*time.Second, func() error {
		if !strings.Contains(b.complain.String(), "Content Security Policy") {
			return fmt.Errorf("a script against the policy is not complained of: %q", b.complain.String())
		}
		return nil
	})
}
