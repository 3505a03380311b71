package portal

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
)

// connectionRow is a connection in the list, and what its own page begins with.
type connectionRow struct {
	org.Connection
	Dialect string // the text's name
	Users   int
	Groups  int
	Last    time.Time // a credential was used, to five minutes; zero: never
}

type connectionView struct {
	Row        connectionRow
	Means      string // what the dialect means: the text's name
	Path       string // of this page
	URL        string // of the service provider
	TokenURL   string // where OAuth clients get access tokens
	Rate       int    // requests a second; 0: no limit
	Tokens     credentialList
	Clients    []clientView
	EndedBadge badge
	Add        field // the name of a client to add
	Coercions  []coercionRow

	TokenLives, SecretLives lifetimes
}

// coercionRow is a way in which messages were bent, and how often.
type coercionRow struct {
	Text        string // the text's name
	Rule        string
	Count       int
	First, Last time.Time
}

// dialectTexts names each dialect and what it means.
var dialectTexts = map[string][2]string{
	"compat":  {"dialect.compat", "dialect.compat-means"},
	"strict":  {"dialect.strict", "dialect.strict-means"},
	"interop": {"dialect.interop", "dialect.interop-means"},
}

// coercionTexts says of each rule of package scim/schema what was done.
var coercionTexts = map[string]string{
	"unknownAttribute": "bent.unknown-attribute",
	"unknownSchema":    "bent.unknown-schema",
	"oldSchema":        "bent.old-schema",
	"missingSchema":    "bent.missing-schema",
	"stringBoolean":    "bent.string-boolean",
	"stringNumber":     "bent.string-number",
	"numberForString":  "bent.number-for-string",
	"bareValue":        "bent.bare-value",
	"singleForMany":    "bent.single-for-many",
	"manyForSingle":    "bent.many-for-single",
	"emptyString":      "bent.empty-string",
	"emptyElement":     "bent.empty-element",
	"duplicateValue":   "bent.duplicate-value",
	"pathName":         "bent.path-name",
	"unqualifiedName":  "bent.unqualified-name",
	"missingSlash":     "bent.missing-slash",
	"cursorPaging":     "bent.cursor-paging",
	"readOnlyPassed":   "bent.read-only-passed",
	"passwordDropped":  "bent.password-dropped",
	"operationCase":    "bent.operation-case",
	"literalCase":      "bent.literal-case",
	"noOperations":     "bent.no-operations",
	"upserted":         "bent.upserted",
	"removeListed":     "bent.remove-listed",
	"unknownSort":      "bent.unknown-sort",
}

// connectionList is the admin's page of every directory that is connected.
func (p *portal) connectionList(x *exchange) error {
	all, err := p.Orgs.Connections(x.ctx(), x.org)
	if err != nil {
		return err
	}
	rows := make([]connectionRow, len(all))
	for i, c := range all {
		if rows[i], _, err = p.connectionRow(x, c); err != nil {
			return err
		}
	}
	return x.render(http.StatusOK, "connections", view{Section: "connections", Data: rows})
}

// connectionRow counts what the connection brought and when it was last used.
func (p *portal) connectionRow(x *exchange, c org.Connection) (connectionRow, []org.Credential, error) {
	row := connectionRow{Connection: c, Dialect: dialectTexts[c.Dialect][0]}
	r := roster.Of(p.Table, x.org)
	var err error
	if row.Users, err = r.Total(x.ctx(), c.ID); err != nil {
		return row, nil, err
	}
	if row.Groups, err = r.GroupTotal(x.ctx(), c.ID); err != nil {
		return row, nil, err
	}
	creds, err := p.Orgs.Credentials(x.ctx(), x.org, c.ID)
	if err != nil {
		return row, nil, err
	}
	for _, k := range creds {
		if k.LastUsed.After(row.Last) {
			row.Last = k.LastUsed
		}
	}
	return row, creds, nil
}

// connectionOf returns the connection that the address names, of this
// organization; the one for users made by hand has no page.
func (p *portal) connectionOf(x *exchange) (org.Connection, error) {
	id, ok := identity.ParseConnection(x.r.PathValue("connection"))
	if !ok || id == identity.Manual {
		return org.Connection{}, errNoPage
	}
	c, err := p.Orgs.Connection(x.ctx(), x.org, id)
	if fault.Is(err, fault.NotFound) {
		return org.Connection{}, errNoPage
	}
	return c, err
}

// connectionPath is the page of the connection.
func (x *exchange) connectionPath(c org.Connection) string {
	return x.base() + "admin/connections/" + string(c.ID)
}

// done is what a form before led to, by the address that it redirected to.
var done = []struct {
	query string
	said  notice
}{
	{"revoked", notice{Kind: "good", Text: "revoke.done"}},
	{"repeated", notice{Kind: "bad", Text: "issue.repeated"}},
	{"added", notice{Kind: "good", Text: "client.added"}},
	{"ended", notice{Kind: "good", Text: "client.ended"}},
	{"trusted", notice{Kind: "good", Text: "trust.added"}},
}

// connection is the page of one: what a directory's admin has to know of it, how
// the directory gets in, and in what its messages had to be bent to fit.
func (p *portal) connection(x *exchange) error {
	c, err := p.connectionOf(x)
	if err != nil {
		return err
	}
	var v view
	for _, d := range done {
		if x.r.URL.Query().Has(d.query) {
			v.Notice = &d.said
		}
	}
	return p.connectionPage(x, c, http.StatusOK, v, field{})
}

// connectionPage renders the page with the field for a client's name as it was
// filled in.
func (p *portal) connectionPage(x *exchange, c org.Connection, status int, page view, add field) error {
	row, creds, err := p.connectionRow(x, c)
	if err != nil {
		return err
	}
	v := connectionView{
		Row: row, Means: dialectTexts[c.Dialect][1], Path: x.connectionPath(c), URL: p.scimURL(), TokenURL: p.tokenURL(), Rate: p.Orgs.RateOf(c),
		Tokens: p.list(creds, staticToken, org.MaxCredentials), EndedBadge: badge{Shape: "ring", Tone: "calm", Text: "client.ended-at"}, Add: add,
		TokenLives: tokenLives, SecretLives: secretLives,
	}
	v.Add.Name, v.Add.Label, v.Add.Hint, v.Add.Type, v.Add.Autocomplete = "name", "client.name", "client.name-hint", "text", "off"
	if v.Clients, err = p.clients(x, c, creds); err != nil {
		return err
	}
	counted, err := p.Orgs.Coercions(x.ctx(), x.org, c.ID)
	if err != nil {
		return err
	}
	for _, n := range counted {
		text := coercionTexts[n.Rule]
		if text == "" {
			text = "bent.other" // a rule of a newer version
		}
		v.Coercions = append(v.Coercions, coercionRow{text, n.Rule, int(n.Count), n.First, n.Last})
	}
	slices.SortStableFunc(v.Coercions, func(a, b coercionRow) int { return cmp.Compare(b.Count, a.Count) }) // what is most first
	page.Section, page.Data = "connections", v
	return x.render(status, "connection", page)
}
