package app

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"gatehouse/internal/audit"
	"gatehouse/internal/courier"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// Names of the feed's consumers, and what each wants.
const (
	FeedName    = "feed"
	WelcomeName = "welcome"
)

// Subscriptions are what the feed of an embedded table is opened with; on AWS
// the filters of the event source mappings say the same.
func Subscriptions() []table.Subscription {
	return []table.Subscription{
		{Name: FeedName, Wants: func(k table.Key) bool { _, _, ok := audit.ParseKey(k); return ok }},
		{Name: WelcomeName, Wants: courier.Wanted},
	}
}

// Feed consumes events: it carries out their effects and appends the
// organization's log. All of it is safe to repeat.
func (a *App) Feed() table.Consumer { return &feed{a} }

type feed struct{ *App }

// width bounds how many effects of one batch are carried out at once.
const width = 16

func (f *feed) Consume(ctx context.Context, batch []table.Change) []error {
	errs := make([]error, len(batch))
	byOrg := map[identity.Org][]int{}
	for i, c := range batch {
		// A number says that the change is our own: the event's place in the log.
		if id, _, ok := audit.ParseKey(c.Key); ok && c.New.Exists() && c.New.N == 0 {
			byOrg[id] = append(byOrg[id], i)
		}
	}
	for id, at := range byOrg {
		o, err := f.Orgs.Get(ctx, id)
		if err != nil {
			for _, i := range at {
				errs[i] = fmt.Errorf("read the event's organization: %w", err)
			}
			continue
		}
		f.effects(ctx, o, batch, at, errs)
		var items []table.Item
		for _, i := range at {
			items = append(items, batch[i].New)
		}
		if err := audit.LogOf(f.Table, o).Append(ctx, items); err != nil {
			for _, i := range at {
				errs[i] = err
			}
		}
	}
	return errs
}

func (f *feed) effects(ctx context.Context, o *org.Org, batch []table.Change, at []int, errs []error) {
	var wait sync.WaitGroup
	slots := make(chan struct{}, width)
	for _, i := range at {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			errs[i] = f.effect(ctx, o, batch[i].New)
		})
	}
	wait.Wait()
}

func (f *feed) effect(ctx context.Context, o *org.Org, it table.Item) (err error) {
	defer func() {
		// One event must not end the program, again and again. What was panicked
		// with may name a person; where it happened does not.
		if recover() != nil {
			err = fmt.Errorf("an effect panicked\n%s", debug.Stack())
		}
	}()
	e, err := audit.Open(it, nil)
	if err != nil {
		return err
	}
	if e.Has(audit.Welcome) {
		if err := f.Courier.Queue(ctx, o, identity.User(e.Subject), courier.Welcome); err != nil && !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("queue the welcome email: %w", err)
		}
	}
	if e.Has(audit.Readdress) {
		if err := f.Courier.Readdress(ctx, o, identity.User(e.Subject), e.ID); err != nil && !fault.Is(err, fault.NotFound) {
			return fmt.Errorf("send the link to the new address: %w", err)
		}
	}
	if e.Has(audit.Sweep) || e.Has(audit.Settle) {
		if err := f.Provision.Sweep(ctx, o, e); err != nil {
			return err
		}
	}
	switch e.Kind {
	case audit.UserSuspended:
		// Each page asks for the user's stage besides: this keeps old sessions
		// from coming back when the user is resumed.
		err = f.Accounts.EndSessions(ctx, o, identity.User(e.Subject))
	case audit.UserLeft:
		err = f.Accounts.Forget(ctx, o, identity.User(e.Subject))
	}
	if err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}
