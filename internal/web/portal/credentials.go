package portal

import (
	"errors"
	"net/http"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
)

// credentialRow is a token, a secret or a trust in its table.
type credentialRow struct {
	org.Credential
	State badge
	Good  bool
}

// credentialList is the credentials of one sort, the newest first.
type credentialList struct {
	Rows []credentialRow
	// Seen is the newest one's id. A form that issues another says it, and does
	// nothing where there is a newer one in the commit: a form that is sent twice, or a
	// page that is loaded again, must not push a token out that is in use.
	Seen identity.Credential
	Good int             // how many are good
	Ends *org.Credential // the good one that the next one ends; nil: none
}

// list picks those of the credentials, of which limit are good at once.
func (p *portal) list(creds []org.Credential, pick func(org.Credential) bool, limit int) credentialList {
	var l credentialList
	now := p.Now()
	for i := len(creds) - 1; i >= 0; i-- {
		k := creds[i]
		if !pick(k) {
			continue
		}
		row := credentialRow{Credential: k, State: credentialBadge(k, now), Good: k.Good(now)}
		if l.Rows = append(l.Rows, row); l.Seen == "" {
			l.Seen = k.ID
		}
		if row.Good {
			if l.Good++; l.Good >= limit {
				l.Ends = &creds[i] // older ones have ended
			}
		}
	}
	return l
}

func staticToken(k org.Credential) bool { return k.Static() }

func secretsOf(c org.Client) func(org.Credential) bool {
	return func(k org.Credential) bool { return k.Client == c.ID && k.Trust == nil }
}

func trustsOf(c org.Client) func(org.Credential) bool {
	return func(k org.Credential) bool { return k.Client == c.ID && k.Trust != nil }
}

func credentialBadge(k org.Credential, now time.Time) badge {
	switch {
	case !k.Revoked.IsZero():
		return badge{Shape: "ring", Tone: "calm", Text: "credential.revoked"}
	case !k.Good(now):
		return badge{Shape: "cross", Tone: "bad", Text: "credential.expired"}
	}
	return badge{Shape: "full", Tone: "good", Text: "credential.good"}
}

// secretView is the page that shows a secret, once.
type secretView struct {
	Connection org.Connection
	Path       string // of the connection's page
	Secret     string
	Expires    time.Time       // zero: not until it is revoked
	Client     identity.Client // empty: a static token
	URL        string
	TokenURL   string
}

// shownOnce answers with the secret. There is no address that shows it again:
// loading this answer again sends the form again, which does nothing.
func (p *portal) shownOnce(x *exchange, c org.Connection, text string, k org.Credential) error {
	return x.render(http.StatusOK, "secret", view{Section: "connections", Data: secretView{
		Connection: c, Path: x.connectionPath(c), Secret: text, Expires: k.Expires, Client: k.Client, URL: p.scimURL(), TokenURL: p.tokenURL(),
	}})
}

// issueToken issues a static token. The one before stays good.
func (p *portal) issueToken(x *exchange) error {
	c, err := p.connectionOf(x)
	if err != nil {
		return err
	}
	life, err := x.lifetime(tokenLives)
	if err != nil {
		return err
	}
	text, k, err := p.Orgs.IssueAfter(x.ctx(), x.org, c.ID, x.seen(), life)
	if errors.Is(err, org.ErrNewer) {
		return x.redirect(x.connectionPath(c) + "?repeated")
	}
	if err != nil {
		return err
	}
	return p.shownOnce(x, c, text, k)
}

// seen is the newest credential of the page that the form stood on.
func (x *exchange) seen() identity.Credential {
	return identity.Credential(x.r.PostForm.Get("seen"))
}

// revokeCredential ends a token, a secret or a trust of the connection.
func (p *portal) revokeCredential(x *exchange) error {
	c, err := p.connectionOf(x)
	if err != nil {
		return err
	}
	id, ok := identity.ParseCredential(x.r.PathValue("credential"))
	if !ok {
		return errNoPage
	}
	if err := p.Orgs.Revoke(x.ctx(), x.org, c.ID, id); fault.Is(err, fault.NotFound) {
		return errNoPage
	} else if err != nil {
		return err
	}
	return x.redirect(x.connectionPath(c) + "?revoked")
}
