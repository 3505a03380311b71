package portal

import (
	"net/http"
	"strings"

	"gatehouse/internal/account"
	"gatehouse/internal/fault"
)

// homeView is the page for who does not know their organization's address.
type homeView struct{ Field field }

// home asks for the organization, or leads who is signed in to their account.
func (p *portal) home(x *exchange) error {
	if err := x.findSession(x.use); err != nil {
		return err
	}
	if x.session != nil {
		return x.redirect("/o/" + x.session.Org.Slug + "/")
	}
	f := field{Name: "organization", Label: "home.field", Hint: "home.hint", Type: "text", Autocomplete: "organization", Focus: true}
	status := http.StatusOK
	if asked := x.r.URL.Query(); asked.Has(f.Name) {
		f.Value = asked.Get(f.Name)
		o, err := p.Orgs.BySlug(x.ctx(), slug(f.Value))
		if err == nil {
			return x.redirect("/o/" + o.Slug + "/sign-in")
		}
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		f.Error, status = "home.unknown", http.StatusNotFound
	}
	return x.render(status, "home", view{Narrow: true, Failed: f.Error != "", Data: homeView{f}})
}

// slug takes what people type, or copy whole from the browser.
func slug(typed string) string {
	typed = strings.ToLower(strings.TrimSpace(typed))
	if _, rest, ok := strings.Cut(typed, "/o/"); ok {
		typed, _, _ = strings.Cut(rest, "/")
	}
	return typed
}

// missing is every address that leads nowhere. It looks up who is signed in, so
// that it looks like a page that one may not see.
func (p *portal) missing(x *exchange) error {
	if err := x.findSession(x.glance); err != nil {
		return err
	}
	return errNoPage
}

type signInView struct {
	Name     field
	Password field
	Next     string
}

// signInPage is the organization's own address for signing in.
func (p *portal) signInPage(x *exchange) error {
	if err := x.findOrg(); err != nil {
		return err
	}
	if err := x.findSession(x.use); err != nil {
		return err
	}
	next := x.next(x.r.URL.Query().Get("next"))
	if x.session != nil && x.session.Org.ID == x.org.ID {
		return x.redirect(next)
	}
	x.session = nil // of another organization: this page is about this one
	v := view{}
	if x.r.URL.Query().Has("created") {
		v.Notice = &notice{Kind: "good", Text: "sign-in.created"}
	}
	return x.signInForm(http.StatusOK, v, signInView{Next: next})
}

func (x *exchange) signInForm(status int, v view, data signInView) error {
	data.Name.Name, data.Name.Label, data.Name.Type, data.Name.Autocomplete = "name", "sign-in.name", "text", "username"
	data.Name.Focus = data.Password.Error == ""
	data.Password.Name, data.Password.Label, data.Password.Type, data.Password.Autocomplete = "password", "sign-in.password", "password", "current-password"
	data.Password.Reveal, data.Password.Focus = true, !data.Name.Focus
	v.Narrow, v.Form, v.Data = true, true, data
	return x.render(status, "sign-in", v)
}

// next is where sign-in leads: the page that was asked for, if it is one of the
// organization's, else the user's account.
func (x *exchange) next(asked string) string {
	if strings.HasPrefix(asked, x.base()) && !strings.ContainsAny(asked, "\\?#\r\n") && !strings.Contains(asked, "//") && len(asked) <= 200 {
		return asked
	}
	return x.base()
}

// signIn begins a session. Whatever is wrong with the name or the password, the
// answer is the same.
func (p *portal) signIn(x *exchange) error {
	if err := x.findOrg(); err != nil {
		return err
	}
	form := x.r.PostForm
	data := signInView{Next: x.next(form.Get("next"))}
	data.Name.Value = form.Get("name")
	if strings.TrimSpace(data.Name.Value) == "" {
		data.Name.Error = "sign-in.no-name"
	} else if form.Get("password") == "" {
		data.Password.Error = "sign-in.no-password"
	}
	if data.Name.Error != "" || data.Password.Error != "" {
		return x.signInForm(http.StatusUnprocessableEntity, view{Failed: true}, data)
	}
	token, err := p.Account.SignIn(x.ctx(), x.org, account.Attempt{
		Name: data.Name.Value, Password: form.Get("password"), Client: p.Client(x.r),
	})
	switch f := fault.Of(err); {
	case err == nil:
	case f.Kind == fault.Unauthorized:
		return x.signInForm(http.StatusUnprocessableEntity, view{Failed: true, Notice: &notice{Kind: "bad", Text: "sign-in.refused"}}, data)
	case f.Kind == fault.Throttled:
		x.retryAfter(f)
		minutes := max(1, int((f.Retry.Seconds()+59)/60))
		return x.signInForm(http.StatusTooManyRequests, view{Failed: true, Notice: &notice{Kind: "bad", Text: "sign-in.throttled", With: []any{minutes}}}, data)
	default:
		return err
	}
	if err := x.setSession(token); err != nil {
		return err
	}
	return x.redirect(data.Next)
}

// setSession gives the browser a new session. One that it had is over: one
// browser, one person.
func (x *exchange) setSession(token string) error {
	if old := x.cookie(cookieSession); old != "" {
		if err := x.p.Account.SignOut(x.ctx(), old); err != nil {
			return err
		}
	}
	x.setCookie(cookieSession, token, account.Absolute)
	return nil
}

// signOut ends the session, at the server too.
func (p *portal) signOut(x *exchange) error {
	if err := x.findOrg(); err != nil {
		return err
	}
	if err := p.Account.SignOut(x.ctx(), x.cookie(cookieSession)); err != nil {
		return err
	}
	x.setCookie(cookieSession, "", 0)
	x.setCookie(cookieForm, "", 0)
	return x.redirect(x.base() + "sign-in")
}

func (p *portal) toAccount(x *exchange) error {
	if err := x.findOrg(); err != nil {
		return err
	}
	return x.redirect(x.base())
}
