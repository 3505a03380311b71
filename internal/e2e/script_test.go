package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the stories in testdata/script. Beyond testscript's own
// commands they have:
//
//	serve [flags]              start; sets URL SCIM TOKEN INBOX ADMIN SIGNIN ADMIN_EMAIL. ! serve: it must refuse, stderr says why
//	end, crash                 stop it with SIGTERM or SIGKILL
//	gatehouse args...          an operator's command; JSON that it prints is read by json and let
//	as TOKEN                   use this bearer token from here on; none: no token
//	http METHOD PATH [file] [-H 'Name: value']...
//	                           one request; a path begins with / and is beneath SCIM's base, or is a whole address.
//	                           Variables are replaced in the file
//	status N...                the last answer's status is one of these
//	json PATH [value]          the last JSON has the value at the path, or any; ! json PATH: none, or an empty list
//	header NAME [pattern]      the last answer has the header
//	let VAR PATH               set a variable from the last JSON; let VAR header NAME from the last answer's header
//	mail ADDRESS [n]           wait until the address has n mails (1 if not told); shows the newest on stdout,
//	                           sets LINK to the link in it. mail ADDRESS 0: it has none now
//	visitor NAME               be this person from here on; each has cookies of their own
//	open ADDRESS               open a page; its words are on stdout
//	form NAME=VALUE...         fill and send the form on the page
//	log pattern                the program logged it; ! log: it did not
func TestScripts(t *testing.T) {
	scripts(t, "local", func(e *testscript.Env) target { return &local{dir: filepath.Join(e.WorkDir, "data")} })
}

// scripts runs the stories at a home, which is a condition in them.
func scripts(t *testing.T, home string, at func(*testscript.Env) target) {
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			s := &story{target: at(e), visitors: map[string]*visitor{}}
			e.Values[storyKey{}] = s
			e.Defer(s.target.kill)
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "local" || name == "aws" {
				return name == home, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: commands,
	})
}

type storyKey struct{}

// story is the state of a running script.
type story struct {
	target   target
	token    string
	last     answer
	visitors map[string]*visitor
	visitor  *visitor
	page     page
}

func storyOf(ts *testscript.TestScript) *story { return ts.Value(storyKey{}).(*story) }

var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"serve": func(ts *testscript.TestScript, neg bool, args []string) {
		s := storyOf(ts)
		err := s.target.serve(context.Background(), args...)
		if neg {
			if err == nil {
				ts.Fatalf("serve started, want a refusal")
			}
			fmt.Fprint(ts.Stderr(), err)
			return
		}
		ts.Check(err)
		r := s.target.ready()
		for name, value := range map[string]string{"URL": r.root(), "SCIM": r.SCIM, "TOKEN": r.Token, "INBOX": r.Inbox, "ADMIN": r.Admin, "SIGNIN": r.SignIn, "ADMIN_EMAIL": r.AdminEmail} {
			ts.Setenv(name, value)
		}
		s.token = r.Token
	},
	"end": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, len(args) == 0, "end")
		ts.Check(storyOf(ts).target.stop())
	},
	"crash": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, len(args) == 0, "crash")
		storyOf(ts).target.kill()
	},
	"gatehouse": func(ts *testscript.TestScript, neg bool, args []string) {
		s := storyOf(ts)
		stdout, stderr, err := s.target.gatehouse(args...)
		fmt.Fprint(ts.Stdout(), stdout)
		fmt.Fprint(ts.Stderr(), stderr)
		if (err != nil) != neg {
			ts.Fatalf("gatehouse %s: %v\n%s", strings.Join(args, " "), err, stderr)
		}
		tree, _ := decode([]byte(stdout))
		s.last = answer{asked: "gatehouse " + strings.Join(args, " "), body: []byte(stdout), tree: tree}
	},
	"as": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, len(args) == 1, "as TOKEN")
		storyOf(ts).token = args[0]
		if args[0] == "none" {
			storyOf(ts).token = ""
		}
	},
	"http": func(ts *testscript.TestScript, neg bool, args []string) {
		s := storyOf(ts)
		var headers []string
		for i := 0; i < len(args)-1; {
			if args[i] != "-H" {
				i++
				continue
			}
			name, value, ok := strings.Cut(args[i+1], ":")
			if !ok {
				ts.Fatalf("http: the header %q has no colon", args[i+1])
			}
			headers = append(headers, name, strings.TrimSpace(value))
			args = slices.Delete(args, i, i+2)
		}
		plainOnly(ts, neg, len(args) == 2 || len(args) == 3, "http METHOD PATH [file] [-H 'Name: value']...")
		var body any
		if len(args) == 3 {
			body = os.Expand(ts.ReadFile(args[2]), ts.Getenv)
		}
		path := strings.NewReplacer(" ", "%20", `"`, "%22").Replace(args[1])
		a, err := (&client{base: s.target.ready().SCIM, token: s.token}).try(args[0], path, body, headers...)
		ts.Check(err)
		s.last = a
		fmt.Fprintf(ts.Stdout(), "%s\n", a.body)
		ts.Logf("%s = %d", a.asked, a.status)
	},
	"status": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, len(args) > 0, "status N...")
		if a := storyOf(ts).last; !slices.Contains(args, strconv.Itoa(a.status)) {
			ts.Fatalf("%s = %d, want %s", a.asked, a.status, strings.Join(args, " or "))
		}
	},
	"json": func(ts *testscript.TestScript, neg bool, args []string) {
		a := storyOf(ts).last
		if len(args) < 1 || len(args) > 2 || neg && len(args) == 2 {
			ts.Fatalf("usage: [!] json PATH [value]")
		}
		v, ok := lookup(a.tree, args[0])
		switch {
		case neg && ok && !empty(v):
			ts.Fatalf("%s: %s = %s, want none", a.asked, args[0], show(v, ok))
		case !neg && len(args) == 1 && (!ok || empty(v)):
			ts.Fatalf("%s: %s = %s, want a value", a.asked, args[0], show(v, ok))
		case len(args) == 2 && (!ok || plain(v) != args[1]):
			ts.Fatalf("%s: %s = %s, want %q", a.asked, args[0], show(v, ok), args[1])
		}
	},
	"header": func(ts *testscript.TestScript, neg bool, args []string) {
		a := storyOf(ts).last
		if len(args) < 1 || len(args) > 2 {
			ts.Fatalf("usage: [!] header NAME [pattern]")
		}
		got := a.header.Get(args[0])
		ok := got != ""
		if len(args) == 2 {
			ok = regexp.MustCompile(args[1]).MatchString(got)
		}
		if ok == neg {
			ts.Fatalf("%s: %s = %q", a.asked, args[0], got)
		}
	},
	"let": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, len(args) == 2 || len(args) == 3 && args[1] == "header", "let VAR PATH, or let VAR header NAME")
		a := storyOf(ts).last
		value := ""
		if len(args) == 3 {
			value = a.header.Get(args[2])
		} else {
			value = a.text(args[1])
		}
		if value == "" {
			ts.Fatalf("%s: nothing at %s", a.asked, args[len(args)-1])
		}
		ts.Setenv(args[0], value)
	},
	"mail": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, len(args) == 1 || len(args) == 2, "mail ADDRESS [n]")
		want := 1
		if len(args) == 2 {
			var err error
			want, err = strconv.Atoi(args[1])
			ts.Check(err)
		}
		s := storyOf(ts)
		var list []letter
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			var err error
			list, err = s.target.letters(args[0])
			ts.Check(err)
			if len(list) >= want || time.Now().After(deadline) {
				break
			}
		}
		if len(list) != want {
			ts.Fatalf("%s has %d mails, want %d", args[0], len(list), want)
		}
		if want > 0 {
			newest := list[want-1]
			fmt.Fprintf(ts.Stdout(), "Subject: %s\n\n%s", newest.subject, newest.text)
			ts.Setenv("LINK", link(s.target.ready(), newest.text))
		}
	},
	"visitor": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, len(args) == 1, "visitor NAME")
		storyOf(ts).be(args[0])
	},
	"open": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, len(args) == 1, "open ADDRESS")
		s := storyOf(ts)
		p, err := s.who().open(args[0])
		ts.Check(err)
		s.show(ts, p)
	},
	"form": func(ts *testscript.TestScript, neg bool, args []string) {
		plainOnly(ts, neg, true, "form NAME=VALUE...")
		given := map[string]string{}
		for _, a := range args {
			name, value, ok := strings.Cut(a, "=")
			if !ok {
				ts.Fatalf("form: %q is not NAME=VALUE", a)
			}
			given[name] = value
		}
		s := storyOf(ts)
		if s.page.url == nil {
			ts.Fatalf("form: no page is open")
		}
		p, err := s.who().submit(s.page, given)
		ts.Check(err)
		s.show(ts, p)
	},
	"log": func(ts *testscript.TestScript, neg bool, args []string) {
		if len(args) != 1 {
			ts.Fatalf("usage: [!] log PATTERN")
		}
		if found := regexp.MustCompile(args[0]).FindString(storyOf(ts).target.log()); (found != "") == neg {
			ts.Fatalf("the log has %q", found)
		}
	},
}

func (s *story) be(name string) {
	if s.visitors[name] == nil {
		s.visitors[name] = new(visitor)
	}
	s.visitor = s.visitors[name]
	s.page = page{}
}

func (s *story) who() *visitor {
	if s.visitor == nil {
		s.be("somebody")
	}
	return s.visitor
}

// show makes the page the last answer, so that status and header speak of it.
func (s *story) show(ts *testscript.TestScript, p page) {
	s.page = p
	s.last = answer{asked: "page " + p.url.String(), status: p.status, header: p.header, body: []byte(p.body)}
	fmt.Fprintln(ts.Stdout(), p.text())
}

func plainOnly(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}
