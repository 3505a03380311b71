package portal

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
)

const (
	mailsShown = 200 // on a page
	maxPage    = 1_000_000
)

// mailRow is a mail in the inbox, and as JSON what scripts read there.
type mailRow struct {
	ID       identity.Message `json:"id"`
	Subject  string           `json:"subject"`
	To       string           `json:"to"`
	Time     time.Time        `json:"time"`
	Language string           `json:"language,omitempty"`

	// Of a single mail only.
	Link string `json:"link,omitempty"` // the activation link, if there is one
	Text string `json:"text,omitempty"`
	HTML string `json:"html,omitempty"`
}

func rowOf(m mail.Message) mailRow {
	return mailRow{ID: m.ID, Subject: m.Subject, To: m.To.Addr, Time: m.Date, Language: m.Language}
}

// link returns the activation link in a mail's text; empty if there is none.
func (p *portal) link(text string) string {
	_, rest, ok := strings.Cut(text, p.URL+"/activate/")
	if !ok {
		return ""
	}
	end := strings.IndexFunc(rest, notOfSecret)
	if end < 0 {
		end = len(rest)
	}
	return p.URL + "/activate/" + rest[:end]
}

// inboxView is a page of the inbox.
type inboxView struct {
	Rows  []mailRow
	Pager pager
}

// inbox lists the mails that were written to the folder, newest first, a page
// at a time.
func (p *portal) inbox(x *exchange) error {
	page, err := strconv.Atoi(x.r.URL.Query().Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	if page > maxPage {
		return errNoPage
	}
	skip := (page - 1) * mailsShown
	mails, total, err := p.Inbox.Latest(x.ctx(), skip, mailsShown)
	if err != nil {
		return fmt.Errorf("read the inbox: %w", err)
	}
	if page > 1 && skip >= total {
		return errNoPage
	}
	rows := make([]mailRow, len(mails))
	for i, m := range mails {
		rows[i] = rowOf(m)
	}
	v := inboxView{Rows: rows, Pager: pager{From: skip + 1, To: min(skip+mailsShown, total), Total: total}}
	if page > 1 {
		v.Pager.Prev = inboxAddress(page - 1)
	}
	if v.Pager.To < total {
		v.Pager.Next = inboxAddress(page + 1)
	}
	if x.wantsJSON() {
		return x.json(struct {
			Mails []mailRow `json:"mails"`
			Total int       `json:"total"`
			Next  string    `json:"next,omitempty"` // the address of the next page
		}{rows, total, v.Pager.Next})
	}
	return x.render(http.StatusOK, "inbox", view{Section: "inbox", Data: v})
}

func inboxAddress(page int) string {
	if page == 1 {
		return "/inbox"
	}
	return "/inbox?page=" + strconv.Itoa(page)
}

// opened returns the mail that the address names.
func (p *portal) opened(x *exchange) (mail.Message, error) {
	m, err := p.Inbox.Open(x.ctx(), identity.Message(x.r.PathValue("id")))
	if fault.Is(err, fault.NotFound) {
		return m, errNoPage
	}
	if err != nil {
		return m, fmt.Errorf("read a mail: %w", err)
	}
	return m, nil
}

// mail shows one mail: its text, and its HTML in a frame of its own.
func (p *portal) mail(x *exchange) error {
	m, err := p.opened(x)
	if err != nil {
		return err
	}
	row := rowOf(m)
	row.Text, row.Link = m.Text, p.link(m.Text)
	if x.wantsJSON() {
		row.HTML = m.HTML
		return x.json(row)
	}
	if m.HTML != "" {
		row.HTML = "/inbox/" + string(m.ID) + "/html"
	}
	x.w.Header().Set("Content-Security-Policy", policy+"; frame-src 'self'")
	return x.render(http.StatusOK, "mail", view{Section: "inbox", Data: row})
}

// mailPolicy lets a mail look as it does in a mail program and do nothing: no
// script, no form, no address but the one that is clicked.
const mailPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation"

// mailHTML is what the frame shows.
func (p *portal) mailHTML(x *exchange) error {
	m, err := p.opened(x)
	if err != nil {
		return err
	}
	if m.HTML == "" {
		return errNoPage
	}
	h := x.w.Header()
	h.Set("Content-Security-Policy", mailPolicy)
	h.Set("X-Frame-Options", "SAMEORIGIN")
	// A click leads the whole window on, as from a mail program.
	body := strings.Replace(m.HTML, "<head>", `<head><base target="_top">`, 1)
	return x.write(http.StatusOK, "text/html; charset=utf-8", []byte(body))
}

func (x *exchange) wantsJSON() bool {
	accept := x.r.Header.Get("Accept")
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

func (x *exchange) json(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return x.write(http.StatusOK, "application/json", append(b, '\n'))
}
