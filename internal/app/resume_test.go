package app_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"gatehouse/internal/app"
	"gatehouse/internal/audit"
	"gatehouse/internal/due"
	"gatehouse/internal/provision"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// ending is a table whose program ends after so many commits.
type ending struct {
	table.Table
	left int
}

func (e *ending) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if e.left == 0 {
		return "", errors.New("the program has ended")
	}
	e.left--
	return e.Table.Commit(ctx, writes...)
}

// A large change of members that a program left behind is finished by the sweep;
// a reference to what is no group becomes a dead letter, not a panic.
func TestTheSweepFinishesALargeChange(t *testing.T) {
	w := newWorld(t, nil)
	var ids []string
	for i := range 60 {
		u, err := w.dir.Join(t.Context(), person(fmt.Sprintf("p%d@example.com", i)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(u.ID))
	}
	g, err := w.dir.CreateGroup(t.Context(), provision.Doc{Attributes: value.Obj(value.M("displayName", value.Str("Team")))}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dying := provision.New(&ending{w.mem, 1}, time.Now).As(w.org, w.dir.Connection(), audit.Actor{Kind: "operator"})
	if _, _, err := dying.ChangeGroup(t.Context(), string(g.ID), nil, nil, []provision.MemberOp{{Kind: provision.AddMembers, IDs: ids}}); err == nil {
		t.Fatal("a program that ended answers")
	}
	if _, err := w.mem.Commit(t.Context(), due.At(time.Now(), due.Ref{Kind: provision.DueKind, Org: w.org.ID, ID: "no#group"})); err != nil {
		t.Fatal(err)
	}
	later := app.New(app.Ports{Table: w.mem, Key: w.app.Key, Now: func() time.Time { return time.Now().Add(time.Minute) }, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if r, err := later.Sweeper().Sweep(t.Context()); err != nil || r.Done != 1 || r.Failed != 1 {
		t.Errorf("the sweep reports %+v, %v; want one done and one failed", r, err)
	}
	if now, err := w.dir.Group(t.Context(), string(g.ID)); err != nil || now.Busy() || now.Count != len(ids) {
		t.Errorf("after the sweep the group has %d members of %d, busy %v, %v", now.Count, len(ids), now.Busy(), err)
	}
}
