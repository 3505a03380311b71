package portal

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
	leftout "gatehouse/internal/short"
)

// chromium is a real browser at work on a server.
type chromium struct {
	t    *testing.T
	ctx  context.Context
	root string

	mu   sync.Mutex
	said []string // what the browser complained about: broken scripts, and what the policy stopped
}

// openChromium starts a browser for the test. Without one the test is skipped,
// and under CI it fails.
func openChromium(t *testing.T, w *world) *chromium {
	t.Helper()
	leftout.Skip(t, "starts a browser")
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no Chromium: .ci/setup installs it")
		}
		t.Skip("there is no Chromium: make tools installs it")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	b := &chromium{t: t}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator, chromedp.WithListener(func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, "exception: "+ev.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			// A page that says no is meant to: its status is no complaint.
			if ev.Entry.Level == log.EntryLevelError && !strings.Contains(ev.Entry.Text, "the server responded with a status") {
				b.said = append(b.said, ev.Entry.Text)
			}
		}
	}))
	t.Cleanup(closeTab)
	b.ctx = ctx
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	if _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	s := httptest.NewServer(w.handler)
	t.Cleanup(s.Close)
	b.root = s.URL
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.said {
			t.Errorf("the browser complains: %s", s)
		}
	})
	return b
}

func (b *chromium) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

func evaluate[T any](b *chromium, expression string, opts ...chromedp.EvaluateOption) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, opts...))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// await waits until the expression is true.
func (b *chromium) await(expression string) {
	b.t.Helper()
	promise := fmt.Sprintf(`new Promise((done, fail) => { let n = 0; const look = () => { if (%s) done(true); else if (++n > 200) fail(document.body.innerText); else setTimeout(look, 50); }; look(); })`, expression)
	if !evaluate[bool](b, promise, awaited) {
		b.t.Fatalf("%s did not come true", expression)
	}
}

func awaited(p *runtime.EvaluateParams) { yes := true; p.AwaitPromise = &yes }

func (b *chromium) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.root+path))
}

func (b *chromium) as(lang, scheme string, width int64) {
	b.t.Helper()
	b.do("emulate",
		func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			return chromedp.Void{}, err
		},
		func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, t, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "test", AcceptLanguage: lang})
			return chromedp.Void{}, err
		},
		chromedp.EmulateViewport(width, 900))
}

// submit sends the form that has the field, and waits for the page that follows.
func (b *chromium) submit(field, text string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("input[name="+field+"]"), text)); err != nil {
		b.t.Fatalf("type into %s: %v", field, err)
	}
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.JSPath("document.querySelector('input[name="+field+"]').form.querySelector('button:not([type=button])')"))); err != nil {
		b.t.Fatalf("send the form of %s: %v", field, err)
	}
}

// press clicks the first that is selected, and waits for the page that follows.
func (b *chromium) press(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		b.t.Fatalf("press %s: %v", selector, err)
	}
}

// look checks the page that is open for what everybody needs (axe's rules), and
// that it fits its window, and photographs it. With GATEHOUSE_PICTURES=DIR the
// pictures are kept there.
func (b *chromium) look(name string) {
	b.t.Helper()
	if over := evaluate[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		b.t.Errorf("%s is %d pixels wider than its window", name, over)
	}
	if !evaluate[bool](b, "typeof axe == 'object'") {
		axe, err := os.ReadFile("testdata/axe/axe.min.js")
		if err != nil {
			b.t.Fatal(err)
		}
		evaluate[bool](b, string(axe)+";true")
	}
	found := evaluate[string](b, `axe.run(document, {iframes: false, runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify({
		Kept: r.passes.length, Broken: r.violations.map(v => v.id + " at " + v.nodes.map(n => n.html.slice(0, 120)).join(" | "))}))`, awaited)
	var rules struct {
		Kept   int
		Broken []string
	}
	if err := json.Unmarshal([]byte(found), &rules); err != nil {
		b.t.Fatal(err)
	}
	if rules.Kept < 15 {
		b.t.Errorf("%s keeps %d rules of axe, want more: were they looked at?", name, rules.Kept)
	}
	for _, v := range rules.Broken {
		b.t.Errorf("%s breaks rule %s", name, v)
	}
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatalf("photograph %s: %v", name, err)
	}
	if len(shot) < 5_000 {
		b.t.Errorf("the picture of %s has %d bytes: nothing is on it", name, len(shot))
	}
	if dir := os.Getenv("GATEHOUSE_PICTURES"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), shot, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// TestSpecimens looks at every partial, in both languages and both schemes,
// wide and narrow.
func TestSpecimens(t *testing.T) {
	b := openChromium(t, newWorld(t))
	for _, lang := range []string{"en", "de"} {
		for _, scheme := range []string{"light", "dark"} {
			b.as(lang, scheme, 1200)
			b.open("/specimens")
			b.look("specimens-" + lang + "-" + scheme)
			b.as(lang, scheme, 360)
			b.look("specimens-" + lang + "-" + scheme + "-narrow")
		}
	}
}

// TestPages looks at every page with people on it, and does in a browser what
// they do.
func TestPages(t *testing.T) {
	w := newWorld(t)
	b := openChromium(t, w)
	b.as("de", "light", 1200)
	max := w.join(w.okta, joiner{"max", "Max Größenwahn", "max@acme.example", "de"})
	w.join(w.okta, joiner{"hostile", `<img src=x onerror=alert(1)> "quoted"`, "hostile@acme.example", ""})
	w.join(w.okta, erika)
	b.open(w.inbox.link(t))
	b.look("activate-en")
	b.submit("password", "too short")
	b.look("activate-refused-en")
	b.open("/inbox")
	b.look("inbox-de")

	b.open(w.inbox.linkTo(t, "max@acme.example"))
	b.look("activate-de")
	b.submit("password", password)
	b.look("account-de")
	b.as("de", "dark", 360)
	b.look("account-de-narrow")
	b.as("de", "light", 1200)
	b.open("/o/" + w.acme.Slug + "/admin/users")
	b.look("missing-de")
	b.do("no cookies", clearCookies)
	b.open("/activate/AAAA")
	b.look("no-link-de")
	b.open("/")
	b.look("home-de")
	b.open("/o/" + w.acme.Slug + "/sign-in")
	b.look("sign-in-de")
	b.submit("password", "wrong")
	b.look("sign-in-refused-de")
	b.as("en", "dark", 1200)
	b.open("/o/" + w.acme.Slug + "/sign-in")
	b.look("sign-in-en-dark")

	w.admin(w.acme)
	b.open("/o/" + w.acme.Slug + "/admin/users")
	b.do("name", chromedp.SendKeys(chromedp.CSS("input[name=name]"), "admin@"+w.acme.Slug+".example"))
	b.submit("password", password)
	if at := evaluate[string](b, "location.pathname"); at != "/o/"+w.acme.Slug+"/admin/users" {
		t.Fatalf("signing in leads to %s, want the page that was asked for", at)
	}
	b.look("users-en-dark")

	// Somebody arrives, and somebody changes, while the page is open.
	w.join(w.okta, joiner{"newcomer", "New Comer", "newcomer@acme.example", ""})
	b.await(`document.querySelector("#arrivals").innerText.includes("New Comer")`)
	_, _, err := w.okta.Change(t.Context(), string(max.ID), nil, deactivated)
	w.must(err)
	w.feed()
	b.await(`document.querySelector("#arrivals").innerText.includes("Suspended")`)
	before := evaluate[string](b, `document.querySelector("#arrivals").dataset.version`)
	// Nothing is asked for in a hidden tab.
	evaluate[bool](b, `Object.defineProperty(document, "hidden", {get: () => true, configurable: true}); performance.clearResourceTimings(); true`)
	w.join(w.okta, joiner{"unseen", "Unseen Guest", "unseen@acme.example", ""})
	evaluate[bool](b, `new Promise(done => setTimeout(() => done(true), 6500))`, awaited)
	if n := evaluate[int](b, `performance.getEntriesByType("resource").filter(e => e.name.includes("arrivals")).length`); n > 0 {
		t.Errorf("a hidden tab asked %d times, want never", n)
	}
	evaluate[bool](b, `delete document.hidden; true`)
	b.await(`document.querySelector("#arrivals").innerText.includes("Unseen Guest") && document.querySelector("#arrivals").dataset.version != "` + before + `"`)

	b.as("en", "light", 1200)
	b.look("users-en")
	b.as("en", "light", 360)
	b.look("users-en-narrow")
	b.as("en", "light", 1200)
	b.submit("q", "newcomer@acme.example")
	b.await(`document.querySelector("h1").innerText.includes("New Comer")`)
	b.do("details", chromedp.Click(chromedp.CSS("summary")))
	b.look("user-en")
	b.as("en", "dark", 360)
	b.look("user-en-narrow")
	b.as("en", "light", 1200)

	mails, _, err := w.inbox.Latest(t.Context(), 0, 1)
	w.must(err)
	b.open("/inbox/" + string(mails[0].ID))
	b.look("mail-en")
	b.open("/o/" + w.acme.Slug + "/admin/conflicts")
	b.look("conflicts-en")

	connection := w.bent()
	b.open("/o/" + w.acme.Slug + "/admin/connections")
	b.look("connections-en")
	b.as("en", "dark", 360)
	b.open(connection)
	b.look("connection-en-narrow")
	b.as("en", "light", 1200)
	b.open(connection)
	b.look("connection-en")
	b.submit("name", "")
	b.look("connection-refused-en")
	b.submit("name", "Okta")
	b.look("connection-added-en")
	// A lifetime is chosen without a mouse.
	b.do("lifetime", chromedp.SendKeys(chromedp.CSS(`form[action$="/secrets"] select`), "1"))
	b.press(`form[action$="/secrets"] button`)
	b.await(`document.querySelector("h1").innerText == "Your new client secret" && document.querySelector("main").innerText.includes("22 Nov 2027") && document.querySelector("dd code").innerText.startsWith("ghcs_")`)
	b.look("secret-en")
	b.as("de", "dark", 360)
	b.look("secret-en-narrow")
	b.as("en", "light", 1200)
	b.open(connection)
	b.do("revoke", chromedp.Click(chromedp.CSS("summary")))
	b.look("connection-revoke-en")
	b.press(`a[href$="/trusts"]`)
	b.await(`document.querySelector("input[name=issuer]") != null`)
	b.look("trust-en")
	b.submit("issuer", "http://issuer.example")
	b.look("trust-refused-en")

	// The session ends while the page is open: it says so, and asks no more.
	b.open("/o/" + w.acme.Slug + "/admin/users")
	b.do("no cookies", clearCookies)
	b.await(`document.querySelector("#arrivals").innerText.includes("You are signed out")`)
	b.look("users-signed-out-en")
	evaluate[bool](b, `performance.clearResourceTimings(); new Promise(done => setTimeout(() => done(true), 4000))`, awaited)
	if n := evaluate[int](b, `performance.getEntriesByType("resource").filter(e => e.name.includes("arrivals")).length`); n > 0 {
		t.Errorf("the page of who is signed out asked %d times more, want never", n)
	}
	b.as("de", "light", 360)
	b.open("/o/" + w.acme.Slug + "/sign-in?next=/o/" + w.acme.Slug + "/admin/users")
	b.do("name", chromedp.SendKeys(chromedp.CSS("input[name=name]"), "admin@"+w.acme.Slug+".example"))
	b.submit("password", password)
	b.look("users-de-narrow")
	b.open("/o/" + w.acme.Slug + "/admin/users/" + string(max.ID))
	b.look("user-de-narrow")
	b.as("de", "light", 1200)
	b.open("/o/" + w.acme.Slug + "/admin/users/" + string(max.ID))
	b.look("user-de")
	b.open(connection)
	b.look("connection-de")
	b.press(`a[href$="/trusts"]`)
	b.await(`document.querySelector("input[name=issuer]") != null`)
	b.look("trust-de")
	b.as("de", "dark", 360)
	b.look("trust-de-narrow")
	b.open(connection)
	b.look("connection-de-narrow")
	b.press(`form[action$="/tokens"] button`)
	b.await(`document.querySelector("dd code").innerText.startsWith("ghsc_")`)
	b.look("token-de-narrow")
}

func clearCookies(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
	_, err := cdp.Call(ctx, t, network.ClearBrowserCookies, cdp.Empty{})
	return chromedp.Void{}, err
}

// deactivated is what a directory says of a user who may not come in.
func deactivated(u roster.User) (provision.Doc, error) {
	return provision.Doc{Attributes: u.Doc().With("active", value.Boolean(false)), Extensions: u.Ext}, nil
}
