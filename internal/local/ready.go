package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
)

// Readiness is where a program that answers is found and with which credential:
// the ready file, for scripts. What it has not is empty.
type Readiness struct {
	URL        string `json:"url"`        // the program's root
	SCIM       string `json:"scim"`       // base URL of SCIM
	Token      string `json:"token"`      // the demo connection's bearer token
	Inbox      string `json:"inbox"`      // page of the mails, where they go to a folder and nobody comes from outside
	Admin      string `json:"admin"`      // page of the demo organization's users
	SignIn     string `json:"signIn"`     // page where its people sign in
	AdminEmail string `json:"adminEmail"` // its admin, whose invitation lies in the inbox
	Org        string `json:"org"`        // its id
	Connection string `json:"connection"` // id of its connection
}

// readyFile is where a Readiness is written; empty: nowhere.
type readyFile string

// check refuses a file that could not be written later.
func (f readyFile) check() error {
	if f == "" {
		return nil
	}
	info, err := os.Stat(string(f))
	if err == nil && !info.Mode().IsRegular() {
		return fault.New(fault.Invalid, "", "The ready file %s is there already and is no file.", string(f))
	}
	tmp, err := os.CreateTemp(filepath.Dir(string(f)), ".new-*")
	if err == nil {
		err = errors.Join(tmp.Close(), os.Remove(tmp.Name()))
	}
	if err != nil {
		return &fault.Error{Kind: fault.Invalid, Msg: fmt.Sprintf("The ready file %s cannot be written: its folder is missing or closed.", string(f)), Err: err}
	}
	return nil
}

func (f readyFile) write(r Readiness) error {
	if f == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = writeFile(string(f), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write the ready file: %w", err)
	}
	return nil
}

func (f readyFile) remove() error {
	if f == "" {
		return nil
	}
	if err := os.Remove(string(f)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the ready file: %w", err)
	}
	return nil
}

func (h *home) readiness(addr net.Addr, d app.Demo) Readiness {
	r := Readiness{URL: h.app.URL, SCIM: h.app.SCIM()}
	if h.mails != nil && h.private(addr) {
		r.Inbox = r.URL + "/inbox"
	}
	if d.Org != "" {
		r.Token, r.AdminEmail, r.Org, r.Connection = d.Token, d.Admin, d.Org, d.Connection
		r.Admin = r.URL + "/o/" + d.Slug + "/admin/users"
		r.SignIn = r.URL + "/o/" + d.Slug + "/sign-in"
	}
	return r
}

func (r Readiness) print(w io.Writer) {
	fmt.Fprintf(w, "\nGatehouse is ready.\n\n  Start page  %s/\n", r.URL)
	if r.Inbox != "" {
		fmt.Fprintf(w, "  Inbox       %s\n", r.Inbox)
	}
	fmt.Fprintf(w, "  SCIM        %s\n", r.SCIM)
	if r.Token == "" {
		fmt.Fprintf(w, "\nMake an organization: gatehouse org create --name NAME --admin EMAIL\n\n")
		return
	}
	invited, then := "the invitation was mailed", ""
	if r.Inbox != "" {
		invited, then = "the invitation is in the inbox", "Then open the inbox: the welcome email is there. "
	}
	fmt.Fprintf(w, `  Users       %s
  Admin       %s (%s)
  Token       %s

Create a user, as an identity provider would:

curl -sS -X POST '%s/Users' -H 'Authorization: Bearer %s' -H 'Content-Type: application/scim+json' -d '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"erika.muster@demo.example","name":{"givenName":"Erika","familyName":"Muster"},"emails":[{"value":"erika.muster@demo.example","type":"work","primary":true}],"preferredLanguage":"de","active":true}'

%sCtrl-C stops.

`, r.Admin, r.AdminEmail, invited, r.Token, r.SCIM, r.Token, then)
}
