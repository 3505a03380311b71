package courier_test

import (
	"context"
	"testing"

	"gatehouse/internal/courier"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/table"
)

// meddler lets something happen right before the next commit.
type meddler struct {
	table.Table
	first func()
}

func (m *meddler) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	if f := m.first; f != nil {
		m.first = nil
		f()
	}
	return m.Table.Commit(ctx, writes...)
}

// TestResumedWhileClosing: the user is resumed, and the mail asked for again,
// after the courier read that the user is suspended and before it wrote that the
// mail is not wanted. The mail must go.
func TestResumedWhileClosing(t *testing.T) {
	meddle := &meddler{}
	w := newWorld(t, mail.Once, func(c *courier.Config) {
		meddle.Table = c.Table
		c.Table = meddle
	})
	id := identity.MintUser("abcde")
	w.store(id, `{"userName":"u","emails":[{"value":"u@example.test"}],"active":false}`)
	w.queue(id)
	meddle.first = func() {
		w.store(id, `{"userName":"u","emails":[{"value":"u@example.test"}],"active":true}`)
		w.queue(id)
	}
	w.deliver()
	if n := w.total(); n != 1 {
		t.Errorf("%d mails went to a user who was resumed in time, want 1", n)
	}
}
