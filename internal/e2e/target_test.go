package e2e

import (
	"context"
	"path/filepath"
	"strings"
)

// target is a Gatehouse as the stories see it. What runs them against another
// home implements it; the stories stay.
type target interface {
	// serve starts it, or fails with what it said.
	serve(ctx context.Context, flags ...string) error
	// stop ends it as an operator would, kill as a power failure would.
	stop() error
	kill()
	// ready tells where it answers; the zero value before it has.
	ready() ready
	// letters are the mails that reached the address, oldest first.
	letters(address string) ([]letter, error)
	// gatehouse runs an operator's command line on it.
	gatehouse(args ...string) (stdout, stderr string, err error)
	// log is all that it has logged.
	log() string
}

// local is the program on this machine with a data folder.
type local struct {
	dir string
	s   *server  // the latest, nil before the first
	all syncText // over restarts
}

func (l *local) serve(ctx context.Context, flags ...string) error {
	s, err := launch(ctx, options{dir: l.dir, flags: flags, log: &l.all})
	if err == nil {
		l.s = s
	}
	return err
}

func (l *local) stop() error { return l.s.stop() }

func (l *local) kill() {
	if l.s != nil {
		l.s.kill()
	}
}

func (l *local) ready() ready {
	if l.s == nil {
		return ready{}
	}
	return l.s.ready
}

func (l *local) letters(address string) ([]letter, error) {
	return letters(filepath.Join(l.dir, mailFolder), address)
}

func (l *local) gatehouse(args ...string) (string, string, error) {
	return (&server{dir: l.dir}).gatehouse(args...)
}

func (l *local) log() string { return l.all.String() }

// root is the address without the slash at its end.
func (r ready) root() string { return strings.TrimSuffix(r.URL, "/") }
