package courier_test

import (
	"context"
	"strings"
	"testing"

	"gatehouse/internal/courier"
	"gatehouse/internal/mail"
	"gatehouse/internal/table"
)

// before is a table that does something else first, before its next commit that
// writes a message.
type before struct {
	table.Table
	do func()
}

func (b *before) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	for _, w := range writes {
		if do := b.do; do != nil && strings.Contains(w.Key.Part, "#MSG#") {
			b.do = nil
			do()
		}
	}
	return b.Table.Commit(ctx, writes...)
}

// Of two who take a message at once, such as the feed and the sweep, one sends
// it, over a carrier that would send it twice.
func TestTwoTakeOneMessage(t *testing.T) {
	w := newWorld(t, mail.Repeats, nil)
	id := w.join()
	w.queue(id)
	key := table.Key{Part: w.org.Part("MSG", string(id)), Sort: "welcome#0001"}
	late := &before{Table: w.faults, do: func() {
		if err := w.Dispatch(t.Context(), key); err != nil {
			t.Errorf("Dispatch of the quicker = %v", err)
		}
	}}
	w.config.Table = late
	if err := courier.New(w.config).Dispatch(t.Context(), key); err != nil {
		t.Errorf("Dispatch of the slower = %v", err)
	}
	if late.do != nil {
		t.Fatal("nobody came between")
	}
	if n := w.total(); n != 1 {
		t.Errorf("two who took one message at once sent %d mails, want 1", n)
	}
	w.want(id, "sent #1 attempts=1 ")
}
