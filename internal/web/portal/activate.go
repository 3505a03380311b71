package portal

import (
	"errors"
	"net/http"
	"strings"

	"gatehouse/internal/account"
	"gatehouse/internal/fault"
)

// openLink moves the secret out of the address, so that neither the browser's
// history nor a log between keeps it, and uses nothing up: scanners of mail
// fetch links too.
func (p *portal) openLink(x *exchange) error {
	secret := x.r.PathValue("secret")
	if len(secret) > 100 || strings.ContainsFunc(secret, notOfSecret) {
		secret = ""
	}
	x.setCookie(cookieLink, secret, linkTime)
	return x.redirect("/activate")
}

func notOfSecret(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}

type activateView struct {
	Invite   account.Invite
	Email    string
	Password field
}

// invite looks up the link that this browser opened; the page speaks the
// invited user's language.
func (x *exchange) invite() (account.Invite, error) {
	inv, err := x.p.Account.Invite(x.ctx(), x.cookie(cookieLink))
	if fault.Is(err, fault.NotFound) {
		// Used, replaced, cut off, or made up: none of these rather than another.
		return inv, errLink
	}
	if err == nil {
		x.org = inv.Org
		x.lang = inv.User.Language(x.lang)
	}
	return inv, err
}

// activation shows whom the link is for and asks for a password.
func (p *portal) activation(x *exchange) error {
	inv, err := x.invite()
	if err != nil {
		return err
	}
	if inv.Expired {
		return x.expired()
	}
	return x.activateForm(http.StatusOK, inv, "")
}

func (x *exchange) activateForm(status int, inv account.Invite, problem string) error {
	f := field{
		Name: "password", Label: "activate.password", Hint: "activate.hint", HintWith: []any{account.MinPassword}, Error: problem,
		Type: "password", Autocomplete: "new-password", Reveal: true, Focus: true,
	}
	switch problem {
	case "activate.short":
		f.ErrorWith = []any{account.MinPassword}
	case "activate.long":
		f.ErrorWith = []any{account.MaxPassword}
	}
	email := inv.User.Email()
	if email == "" {
		email = inv.User.UserName()
	}
	return x.render(status, "activate", view{Narrow: true, Form: true, Failed: problem != "",
		Data: activateView{Invite: inv, Email: email, Password: f}})
}

func (x *exchange) expired() error {
	return x.render(http.StatusGone, "expired", view{Narrow: true, Form: true})
}

// activate creates the password. The link is used up in the commit that stores
// it; the user is signed in.
func (p *portal) activate(x *exchange) error {
	inv, err := x.invite()
	if err != nil {
		return err
	}
	if inv.Expired {
		return x.expired()
	}
	password := x.r.PostForm.Get("password")
	if password == "" {
		return x.activateForm(http.StatusUnprocessableEntity, inv, "activate.missing")
	}
	token, err := p.Account.Activate(x.ctx(), inv, password)
	var refused *account.PasswordError
	switch {
	case errors.As(err, &refused):
		return x.activateForm(http.StatusUnprocessableEntity, inv, ruleTexts[refused.Rule])
	case fault.Is(err, fault.NotFound):
		x.org = nil
		return errLink
	case err != nil:
		return err
	}
	x.setCookie(cookieLink, "", 0)
	if token == "" {
		return x.redirect(x.base() + "sign-in?created")
	}
	if err := x.setSession(token); err != nil {
		return err
	}
	return x.redirect(x.base() + "?created")
}

var ruleTexts = map[account.Rule]string{
	account.RuleShort:    "activate.short",
	account.RuleLong:     "activate.long",
	account.RuleCommon:   "activate.common",
	account.RulePersonal: "activate.personal",
}

// renew asks for a new link in place of the expired one that this browser
// opened. The answer is the same for any link.
func (p *portal) renew(x *exchange) error {
	if err := p.Account.Renew(x.ctx(), x.cookie(cookieLink)); err != nil {
		return err
	}
	x.setCookie(cookieLink, "", 0)
	return x.render(http.StatusOK, "renewed", view{Narrow: true})
}
