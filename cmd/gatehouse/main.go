// Command gatehouse is Gatehouse as one program: it serves a data folder, and
// takes the operator's commands: beside a program that serves, on a store at
// rest, or on the table of a stack on AWS.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
	"gatehouse/internal/local"
)

type cli struct {
	Table string `help:"Table of a stack on AWS, for the operator's commands; --data does not count then." env:"GATEHOUSE_TABLE" placeholder:"NAME"`

	Serve      serveCmd      `cmd:"" help:"Serve a data folder: SCIM, the portal, mails."`
	Org        orgCmd        `cmd:"" help:"Organizations."`
	Connection connectionCmd `cmd:"" help:"Connections of an organization and their credentials."`
	Client     clientCmd     `cmd:"" help:"OAuth clients of connections, their secrets, and whose word for them is taken."`
	Backup     backupCmd     `cmd:"" help:"Copy a data folder, while it is served or at rest."`
	Dead       deadCmd       `cmd:"" help:"Work that was given up, and trying it again."`
}

// at is the store that a command speaks to.
type at struct {
	Data string `help:"Data folder." default:"./data" env:"GATEHOUSE_DATA" type:"path"`
	URL  string `help:"Outside address, for a store at rest whose mails and answers name it." env:"GATEHOUSE_URL"`
	JSON bool   `help:"Print the answer as one JSON value, and an error as one on stderr." name:"json"`
}

// do carries out a command and prints the answer: as JSON, or as text says.
func do[T any](ctx context.Context, c *cli, s at, out io.Writer, name string, args any, text func(T) string) error {
	raw, err := ask(ctx, c, s, name, args)
	if err != nil {
		return err
	}
	return tell(s, out, raw, text)
}

// ask carries out a command and returns the answer as JSON.
func ask(ctx context.Context, c *cli, s at, name string, args any) (json.RawMessage, error) {
	in, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	if c.Table != "" {
		return onTable(ctx, c.Table, name, in)
	}
	return local.Operate(ctx, local.Folder(s.Data), s.URL, name, in)
}

// tell prints an answer.
func tell[T any](s at, out io.Writer, raw json.RawMessage, text func(T) string) error {
	if s.JSON {
		_, err := fmt.Fprintf(out, "%s\n", raw)
		return err
	}
	var answer T
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	_, err := io.WriteString(out, text(answer))
	return err
}

// notes are what is told beside an answer, on stderr: scripts read the answer
// alone.
type notes struct{ io.Writer }

func (n notes) note(asJSON bool, message string) {
	if !asJSON {
		fmt.Fprintln(n, message)
		return
	}
	json.NewEncoder(n).Encode(map[string]map[string]string{"note": {"message": message}})
}

type serveCmd struct {
	Data   string `help:"Data folder; made if it is not there." default:"./data" env:"GATEHOUSE_DATA" type:"path"`
	Listen string `help:"Address to listen on; port 0 takes a free one." default:"127.0.0.1:8080" env:"GATEHOUSE_LISTEN"`
	URL    string `help:"Outside address, as people and directories reach it. Default: the address listened on." env:"GATEHOUSE_URL"`
	Client string `name:"client-header" help:"Header in which the proxy before Gatehouse names the client, such as X-Forwarded-For: its last address counts in limits of sign-in. Only for a proxy that always sets it." env:"GATEHOUSE_CLIENT_HEADER"`
	Ready  string `help:"When it answers, write where and with which credential as JSON to this file. On an empty data folder a demo organization is made." type:"path"`
	Demo   bool   `help:"Make a demo organization if the data folder is empty."`

	SMTP      string `help:"SMTP server, host:port. Default: mails go to a folder and its inbox page." env:"GATEHOUSE_SMTP"`
	SMTPUser  string `name:"smtp-user" help:"User at the SMTP server; the password is taken from GATEHOUSE_SMTP_PASSWORD." env:"GATEHOUSE_SMTP_USER"`
	SMTPTLS   string `name:"smtp-tls" help:"starttls, tls or none (for a server on this machine only)." enum:"starttls,tls,none" default:"starttls" env:"GATEHOUSE_SMTP_TLS"`
	From      string `help:"Address that mails come from. Needed with --smtp." env:"GATEHOUSE_FROM"`
	MailLimit int    `help:"Mails of one organization in a day; 0: no limit." env:"GATEHOUSE_MAIL_LIMIT"`
	Rate      int    `name:"scim-rate" help:"SCIM requests a second of a connection that has no rate of its own, 25 or more; 0: no limit." env:"GATEHOUSE_SCIM_RATE"`
}

func (c *serveCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	if all.Table != "" {
		return fault.New(fault.Invalid, "", "A table on AWS is served by its stack's functions. Leave --table away to serve a data folder.")
	}
	// Little lives between requests, so collections come often: half as many take a
	// few percent less CPU and some ten megabytes more memory.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	return local.Serve(ctx, local.Options{
		Data: local.Folder(c.Data), Listen: c.Listen, URL: c.URL, Client: c.Client, Ready: c.Ready, Demo: c.Demo || c.Ready != "",
		SMTP: c.SMTP, SMTPUser: c.SMTPUser, SMTPPassword: os.Getenv("GATEHOUSE_SMTP_PASSWORD"), SMTPTLS: c.SMTPTLS,
		From: c.From, MailLimit: c.MailLimit, Rate: c.Rate, Out: out, Err: os.Stderr,
	})
}

type backupCmd struct {
	at
	Dir string `arg:"" help:"Folder to make; it becomes a data folder of its own." type:"path"`
}

func (c *backupCmd) Run(ctx context.Context, all *cli, out io.Writer) error {
	return do(ctx, all, c.at, out, "backup", local.BackupArgs{Dir: c.Dir}, func(app.Done) string {
		return "Backed up to " + c.Dir + "\n"
	})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: 0 it went well, 1 it was refused, 2 the
// command line is wrong.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("gatehouse"),
		kong.Description("Automated user and product provisioning."),
		kong.UsageOnError(),
		kong.Writers(out, errs),
		kong.Exit(func(code int) { exited = code }),
		kong.Bind(&c, notes{errs}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.BindTo(out, (*io.Writer)(nil)))
	if err != nil {
		fmt.Fprintln(errs, "gatehouse:", err)
		return 2
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	asJSON := slices.Contains(args, "--json")
	if err != nil {
		report(errs, asJSON, fault.Invalid, err.Error())
		return 2
	}
	if err := k.Run(); err != nil {
		report(errs, asJSON, fault.Of(err).Kind, explain(err))
		return 1
	}
	return 0
}

// report tells what went wrong: in a sentence, or as JSON to who reads answers
// as JSON.
func report(errs io.Writer, asJSON bool, kind fault.Kind, message string) {
	if !asJSON {
		fmt.Fprintln(errs, "gatehouse:", message)
		return
	}
	type told struct {
		Kind    string `json:"kind"` // as package fault names it
		Message string `json:"message"`
	}
	json.NewEncoder(errs).Encode(map[string]told{"error": {kind.String(), message}})
}

func explain(err error) string {
	if f := fault.Of(err); f.Msg != "" {
		return f.Msg
	}
	return err.Error()
}

// when writes a time for people; a dash for none.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
