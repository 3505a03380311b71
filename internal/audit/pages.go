package audit

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// Page is part of what an event says of a group's members, where they are too
// many for one item: the event counts them, its pages name them. The pages are
// written in the commits that change the members, before the event itself.
type Page struct {
	Added, Removed []string // ids
}

// Write returns the write that creates the n-th page of the event.
func (p Page) Write(o *org.Org, subject string, id identity.Event, n int) table.Write {
	data := strings.Join(p.Added, " ") + "\n" + strings.Join(p.Removed, " ")
	return table.Create(table.Key{Part: pagePart(o, subject, id), Sort: fmt.Sprintf("%06d", n)}, []byte(data))
}

func pagePart(o *org.Org, subject string, id identity.Event) string {
	return o.Part("EV", subject, string(id))
}

// Pages yields the pages of the event, in the order in which the members
// changed; none of an event that names its members itself.
func Pages(ctx context.Context, t table.Table, o *org.Org, subject string, id identity.Event) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		for it, err := range t.Query(ctx, pagePart(o, subject, id), table.Range{}) {
			if err != nil {
				yield(Page{}, fmt.Errorf("read an event's pages: %w", err))
				return
			}
			added, removed, _ := strings.Cut(string(it.Data), "\n")
			if !yield(Page{strings.Fields(added), strings.Fields(removed)}, nil) {
				return
			}
		}
	}
}
