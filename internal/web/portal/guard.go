package portal

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/internal/account"
	"gatehouse/internal/fault"
	"gatehouse/internal/secret"
)

// Cookies. __Host- binds one to exactly this host over https; over http, on
// this machine only, browsers refuse the prefix.
const (
	cookieSession = "gatehouse"
	cookieForm    = "gatehouse-form" // what forms are bound to before there is a session
	cookieLink    = "gatehouse-link" // the secret of the activation link that was opened
)

// linkTime is how long an opened activation link waits for its form.
const linkTime = time.Hour

func (p *portal) cookieName(name string) string {
	if p.secure {
		return "__Host-" + name
	}
	return name
}

func (x *exchange) cookie(name string) string {
	c, err := x.r.Cookie(x.p.cookieName(name))
	if err != nil || len(c.Value) > 200 {
		return ""
	}
	return c.Value
}

// setCookie sets a cookie that no script reads and no other site's form sends,
// or with an empty value removes it. Zero keeps it while the browser runs.
func (x *exchange) setCookie(name, value string, keep time.Duration) {
	c := &http.Cookie{
		Name: x.p.cookieName(name), Value: value, Path: "/", MaxAge: int(keep / time.Second),
		HttpOnly: true, Secure: x.p.secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(x.w, c)
}

// checked lets a POST through that one of our own pages sent: by what the
// browser says of its origin, by the form's token, and by size.
func checked(h handler) handler {
	return func(x *exchange) error {
		if err := x.p.cross.Check(x.r); err != nil || !x.p.ours(x.r) {
			return errForm
		}
		if t, _, _ := strings.Cut(x.r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(t), "application/x-www-form-urlencoded") {
			return errForm
		}
		x.r.Body = http.MaxBytesReader(x.w, x.r.Body, maxForm)
		if err := x.r.ParseForm(); err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				return x.inOwnWords(errLarge)
			}
			return fault.New(fault.Invalid, "", "The form cannot be read.")
		}
		token := x.r.PostForm.Get("csrf")
		if !x.p.Account.CheckCSRF(x.cookie(cookieSession), token) && !x.p.Account.CheckCSRF(x.cookie(cookieForm), token) {
			return errForm
		}
		return h(x)
	}
}

// inOwnWords lets the page for the error speak the language of the page that the
// form stood on.
func (x *exchange) inOwnWords(err error) error {
	if e := x.findSession(x.glance); e == nil && x.session == nil && x.route == "/activate" {
		x.invite()
		x.org = nil
	}
	return err
}

// ours reports whether the origin that a request names, if it names one, is ours
// as a whole: the standard check compares hosts only, and http://host is not
// https://host. Over http, on this machine, we have several names.
func (p *portal) ours(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "null" || origin == p.origin || !p.secure && origin == "http://"+r.Host
}

// originOf is how browsers write an address's origin: in small letters, without
// the scheme's own port (RFC 6454 §6.2).
func originOf(u *url.URL) string {
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return u.Scheme + "://" + strings.TrimSuffix(strings.ToLower(u.Host), port)
}

// csrf is the token for the page's forms: bound to the session, or before
// there is one to a cookie of its own.
func (x *exchange) csrf() string {
	if x.session != nil {
		return x.p.Account.CSRF(x.token)
	}
	if x.pre == "" {
		x.pre = x.cookie(cookieForm)
	}
	if x.pre == "" {
		x.pre = secret.Token()
		x.setCookie(cookieForm, x.pre, 0)
	}
	return x.p.Account.CSRF(x.pre)
}

// findOrg looks up the organization that the address names.
func (x *exchange) findOrg() error {
	o, err := x.p.Orgs.BySlug(x.ctx(), x.r.PathValue("slug"))
	if fault.Is(err, fault.NotFound) {
		return errNoPage
	}
	x.org = o
	return err
}

// findSession looks up who is signed in. Nobody is no error.
func (x *exchange) findSession(look func() (account.Session, error)) error {
	s, err := look()
	if fault.Is(err, fault.Unauthorized) {
		return nil
	}
	if err != nil {
		return err
	}
	x.session, x.token = &s, x.cookie(cookieSession)
	x.lang = s.User.Language(x.lang)
	return nil
}

func (x *exchange) glance() (account.Session, error) {
	return x.p.Account.Glance(x.ctx(), x.cookie(cookieSession))
}

func (x *exchange) use() (account.Session, error) {
	return x.p.Account.Session(x.ctx(), x.cookie(cookieSession))
}

// signedIn lets users of the organization that the address names through.
// Others are asked to sign in; who is signed in to another organization learns
// no more of this one than of one that does not exist.
func (p *portal) signedIn(h handler) handler {
	return func(x *exchange) error {
		if err := x.findSession(x.use); err != nil {
			return err
		}
		err := x.findOrg()
		if err != nil {
			return err
		}
		if x.session == nil {
			to := x.base() + "sign-in"
			if path := x.r.URL.Path; x.r.Method != http.MethodPost && path != x.base() {
				to += "?next=" + url.QueryEscape(path)
			}
			return x.redirect(to)
		}
		if x.session.Org.ID != x.org.ID {
			x.org = nil
			return errNoPage
		}
		return h(x)
	}
}

// admin lets organization admins through; for other users of the organization
// there is nothing here.
func (p *portal) admin(h handler) handler {
	return p.signedIn(func(x *exchange) error {
		if !x.session.Admin {
			return errNoPage
		}
		return h(x)
	})
}

// base is the organization's own address.
func (x *exchange) base() string { return "/o/" + x.org.Slug + "/" }
