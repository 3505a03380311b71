package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"gatehouse/internal/short"
)

// screenshots is where TestBrowser leaves its pictures if UPDATE_SCREENSHOTS
// is set.
const screenshots = moduleRoot + "/docs/screenshots"

// browser is a Chromium that belongs to the test.
type browser struct {
	ctx      context.Context
	t        *testing.T
	complain *syncText // what the pages wrote to the console: refused by the policy, and errors
}

// openBrowser starts Chromium. The first page may take some seconds.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	short.Skip(t, "starts a browser")
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		needs(t, errors.New("no Chromium: make tools installs it"))
	}
	options := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.WindowSize(1200, 900), chromedp.Flag("lang", "en")}
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses its sandbox to root
	}
	b := &browser{t: t, complain: new(syncText)}
	ctx, cancel := chromedp.NewContext(context.Background(), chromedp.WithAllocatorOptions(options...), chromedp.WithListener(func(ev any) {
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			fmt.Fprintln(b.complain, ev.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			// What the policy refuses; a refused form's 4xx is logged too and is no complaint.
			if ev.Entry.Level == log.EntryLevelError && ev.Entry.Source != log.EntrySourceNetwork {
				fmt.Fprintln(b.complain, ev.Entry.Text)
			}
		case *runtime.EventConsoleAPICalled:
			if ev.Type == runtime.ConsoleAPICalledTypeError {
				fmt.Fprintln(b.complain, ev.Args)
			}
		}
	}))
	t.Cleanup(cancel)
	b.ctx = ctx
	// No time-out on the first call: it would end the browser.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		needs(t, fmt.Errorf("starting Chromium: %w", err))
	}
	return b
}

// do runs the steps, and shows where the browser stands if they fail.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		where, _ := chromedp.Run(b.ctx, chromedp.Location())
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body ? document.body.innerText : ''"))
		b.t.Fatalf("%s: %v; at %s:\n%s", what, err, where, text)
	}
}

// value evaluates an expression in the page.
func value[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluating %s: %v", expression, err)
	}
	return v
}

func (b *browser) text() string { b.t.Helper(); return value[string](b, "document.body.innerText") }

// says fails the test unless the page holds the words.
func (b *browser) says(words ...string) {
	b.t.Helper()
	text := b.text()
	if bad := malformed.FindString(text); bad != "" {
		b.t.Errorf("the page at %s shows %q", value[string](b, "location.pathname"), bad)
	}
	for _, w := range words {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(w)) {
			b.t.Errorf("the page at %s does not say %q:\n%s", value[string](b, "location.pathname"), w, text)
		}
	}
}

// picture keeps a screenshot under the name, if pictures are asked for.
func (b *browser) picture(name string) {
	b.t.Helper()
	if os.Getenv("UPDATE_SCREENSHOTS") == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(screenshots, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(screenshots, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Errorf("the picture %s: %v", name, err)
	}
}

// in makes the browser ask for the language.
func (b *browser) in(language string) {
	b.t.Helper()
	b.do("language "+language, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}})
		return chromedp.Void{}, err
	})
}

// TestBrowser is the first day of two people in a real browser, from the inbox
// to the own page, and the admin who sees them come.
func TestBrowser(t *testing.T) {
	short.Skip(t, "starts a browser") // before the program is built and started for it
	firstDay(t, &start(t, options{}).site, 2*time.Second)
}

// firstDay fails where a mail takes longer than soon.
func firstDay(t *testing.T, s *site, soon time.Duration) {
	b := openBrowser(t)
	c := s.client("")
	created := time.Now()
	c.user(t, "ana.ruiz@corp.test")
	bernd := person("bernd.gross@corp.test", "Bernd", "Groß")
	bernd["preferredLanguage"] = "de"
	c.send(t, "POST", "/Users", bernd).want(t, 201)

	for _, p := range []struct{ language, address, name, create, signIn string }{
		{"en", "ana.ruiz@corp.test", "Ana", "Create password", "Sign in"},
		{"de", "bernd.gross@corp.test", "Bernd", "Passwort festlegen", "Anmelden"},
	} {
		b.do("no cookies", clearCookies)
		b.in(p.language)
		mail := s.letter(t, p.address)
		if took := mail.at.Sub(created); took > soon {
			t.Errorf("the mail to %s was there after %v, want %v at most", p.name, took, soon)
		}
		href := link(s.ready, mail.text)
		if s.Inbox != "" { // it lists the mail, whose link is followed as a person does
			b.do("inbox", chromedp.Navigate(s.Inbox))
			b.says(p.address)
			b.picture("inbox-" + p.language)
			b.do("the mail of "+p.name, openMail(p.address))
			b.picture("mail-" + p.language)
			href = value[string](b, activationLink(s.root()))
		}
		if href == "" {
			t.Fatalf("the mail of %s shows no link to %s:\n%s", p.name, s.root(), b.text())
		}
		b.do("the link", chromedp.Navigate(href))
		b.says(p.address, p.create)
		if lang := value[string](b, "document.documentElement.lang"); lang != p.language {
			t.Errorf("the page's language is %q, want %q", lang, p.language)
		}
		if at := value[string](b, "location.href"); strings.Contains(at, href[strings.LastIndexAny(href, "/=#")+1:]) {
			t.Errorf("the page's address still holds the link's secret: %s", at)
		}
		b.picture("create-password-" + p.language)

		// A common password is refused on the page, and says why.
		b.fillPasswords("1234567890qwerty")
		if b.says(p.address); !value[bool](b, "!!document.querySelector('input[type=password]')") {
			t.Errorf("a common password is taken")
		}
		b.picture("refused-password-" + p.language)
		b.fillPasswords("richtig pferd batterie klammer")
		b.says(p.name)
		b.picture("welcome-" + p.language)

		b.do("no cookies", clearCookies)
		b.do("sign-in", chromedp.Navigate(s.SignIn))
		b.says(p.signIn)
		b.picture("sign-in-" + p.language)
		b.do("signing in",
			chromedp.SendKeys(chromedp.CSS("input[name="+fields["email"]+"]"), p.address),
			chromedp.SendKeys(chromedp.CSS("input[type=password]"), "richtig pferd batterie klammer"))
		b.press()
		b.says(p.name, p.address)
		b.picture("account-" + p.language)
	}

	b.do("no cookies", clearCookies)
	b.in("en")
	s.activate(t, s.AdminEmail, "an admin's long password")
	b.do("the admin's sign-in", chromedp.Navigate(s.SignIn),
		chromedp.SendKeys(chromedp.CSS("input[name="+fields["email"]+"]"), s.AdminEmail),
		chromedp.SendKeys(chromedp.CSS("input[type=password]"), "an admin's long password"))
	b.press()
	b.do("the users", chromedp.Navigate(usersPage(s.ready)))
	b.says("ana.ruiz@corp.test", "bernd.gross@corp.test", "Active")
	b.picture("users-en")
	b.in("de")
	b.do("the users in German", chromedp.Navigate(usersPage(s.ready)))
	b.picture("users-de")
	c.user(t, "new.user@corp.test")
	b.do("a user who arrives", chromedp.Navigate(usersPage(s.ready)))
	b.says("new.user@corp.test")

	if said := b.complain.String(); said != "" {
		t.Errorf("the pages complained: %s", said)
	}
}

// fillPasswords writes the password into every empty password field and sends
// the form.
func (b *browser) fillPasswords(password string) {
	b.t.Helper()
	n := value[int](b, "document.querySelectorAll('input[type=password]').length")
	for i := range n {
		b.do("a password", chromedp.SendKeys(chromedp.JSPath(fmt.Sprintf("document.querySelectorAll('input[type=password]')[%d]", i)), password))
	}
	b.press()
}

// press sends the form that has a password by its button, and waits for the
// page that follows.
func (b *browser) press() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 20*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.JSPath("document.querySelector('input[type=password]').form.querySelector('button:not([type=button]),input[type=submit]')"))); err != nil {
		b.t.Fatalf("sending the form: %v\n%s", err, b.text())
	}
}

// openMail follows the inbox's link to the newest mail of the address.
func openMail(address string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		row := fmt.Sprintf(`[...document.querySelectorAll('a')].find(a => (a.closest('tr,li,article') || a).innerText.includes(%q))`, address)
		href, err := chromedp.Evaluate[string]("("+row+" || {href: ''}).href")(ctx, t)
		if err != nil {
			return chromedp.Void{}, err
		}
		if href == "" {
			return chromedp.Void{}, fmt.Errorf("no link beside %s", address)
		}
		return chromedp.Navigate(href)(ctx, t)
	}
}

func clearCookies(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, t, network.ClearBrowserCookies, cdp.Empty{})
	return chromedp.Void{}, err
}
