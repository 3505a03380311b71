package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// This file is all that the tests know of the program's outside beyond HTTP
// and SCIM: its flags, what it writes for scripts, the names of its form
// fields, where its pages are.

// ready is what serve writes to the file named by --ready.
type ready struct {
	URL        string `json:"url"`        // the program's root, without a slash at its end
	SCIM       string `json:"scim"`       // the base URL of SCIM
	Token      string `json:"token"`      // the demo connection's bearer token
	Inbox      string `json:"inbox"`      // the page that lists the mails
	Admin      string `json:"admin"`      // the admin's page
	SignIn     string `json:"signIn"`     // where the demo organization's people sign in
	AdminEmail string `json:"adminEmail"` // the demo organization's first admin, who is invited and belongs to no connection
}

// serveArgs starts the program on the folder, on a free port.
func serveArgs(dir, readyFile string) []string {
	return []string{"serve", "--data", dir, "--listen", "127.0.0.1:0", "--ready", readyFile}
}

// relayed are the flags that send mails through an SMTP server on this machine
// instead of into the folder. There is no inbox then.
func relayed(host string, port int) []string {
	return []string{"--smtp", fmt.Sprintf("%s:%d", host, port), "--smtp-tls", "none", "--from", "gatehouse@relay.example"}
}

// mailFolder is where the maildir sender leaves its mails, beneath the data
// folder.
const mailFolder = "mail"

// Command lines, without the flag that says which store. Each answers one JSON
// object with --json.
func orgCreate(name, admin string) []string {
	return []string{"org", "create", "--name", name, "--admin", admin, "--json"}
}

func connectionCreate(org, name string, flags ...string) []string {
	return append([]string{"connection", "create", "--org", org, "--name", name, "--json"}, flags...)
}

func connectionRevoke(org, connection, credential string) []string {
	return []string{"connection", "revoke", "--org", org, "--connection", connection, "--credential", credential, "--json"}
}

func clientCreate(org, connection, name string) []string {
	return []string{"client", "create", "--org", org, "--connection", connection, "--name", name, "--json"}
}

func clientRevoke(org, client string) []string {
	return []string{"client", "revoke", "--org", org, "--client", client, "--all", "--json"}
}

// suppressMail is the flag of connectionCreate that keeps welcome mails back.
const suppressMail = "--no-welcome"

// expires is the flag of connectionCreate that ends its credential by itself.
func expires(after string) []string { return []string{"--expires", after} }

// created is what the commands above print.
type created struct {
	Org        string `json:"org"`
	Connection string `json:"connection"`
	Credential string `json:"credential"`
	Token      string `json:"token"`
	SignIn     string `json:"signIn"` // the address at which the organization's people sign in
	Client     string `json:"client"` // of OAuth, and its secret
	Secret     string `json:"secret"`
	TokenURL   string `json:"tokenUrl"`
}

// fields names the inputs of the pages' forms by what they take.
var fields = map[string]string{
	"email":    "name", // the sign-in form takes the user name or the address
	"password": "password",
}

// usersPage is the admin's page that lists users.
func usersPage(r ready) string { return r.Admin }

// sessionCookie is the cookie of who is signed in, as it is named over http.
const sessionCookie = "gatehouse"

// link finds in a mail's text the address that activates the account.
func link(r ready, text string) string {
	root := strings.TrimSuffix(r.URL, "/")
	return regexp.MustCompile(regexp.QuoteMeta(root) + `/activate/[A-Za-z0-9_-]+`).FindString(text)
}

// reference matches what an answer carries to be found in the log; two equal
// refusals differ in it.
var reference = regexp.MustCompile(`Reference:? ([0-9a-z]{10})`)

// leaseTime bounds how long a mail can wait whose sender died: the lease, the
// sweep that finds it, and some air.
const leaseTime = 45 * time.Second

// activationLink is a JavaScript expression for the address that a mail, as the
// inbox shows it, links to.
func activationLink(root string) string {
	return `([...document.querySelectorAll('a')].map(a => a.href).filter(h => h.startsWith("` + root + `/activate/")).pop() || '')`
}
