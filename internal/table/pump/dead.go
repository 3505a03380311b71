package pump

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"

	"gatehouse/internal/table"
	"gatehouse/internal/table/record"
)

// DeadLetter is a change that its consumer gave up on. It is an item of the
// partition DEAD#<consumer>, in the order of the feed.
type DeadLetter struct {
	Consumer string
	Commit   table.Version // that made the change; tells when
	Change   table.Change
	Tries    int
	Reason   string // the last error; for the operator's eyes, since it may quote the change
	// Whole is false if the item was too large to be kept in the letter. Replay
	// then hands over the item as it is stored at that time.
	Whole bool

	item table.Item
}

// reasonMax is how much of an error is kept, in bytes.
const reasonMax = 500

func part(consumer string) string { return "DEAD#" + consumer }

// Bury writes a dead letter for the consumer. Repeated, it writes the same one.
func Bury(ctx context.Context, t table.Table, consumer string, e table.Entry, tries int, reason error) error {
	err := bury(ctx, t, consumer, e, tries, reason, true)
	if errors.Is(err, table.ErrRefused) { // an item close to the limit is too large with a letter around it
		err = bury(ctx, t, consumer, e, tries, reason, false)
	}
	return err
}

// BuryUnread is Bury for a change whose image could not be read: the letter is
// not Whole. Its key may be the zero Key; such a letter can only be discarded.
func BuryUnread(ctx context.Context, t table.Table, consumer string, e table.Entry, tries int, reason error) error {
	return bury(ctx, t, consumer, e, tries, reason, false)
}

func bury(ctx context.Context, t table.Table, consumer string, e table.Entry, tries int, reason error, whole bool) error {
	key := table.Key{Part: part(consumer), Sort: inOrder(e.Change.ID)}
	text := reason.Error()
	text = strings.ToValidUTF8(text[:min(len(text), reasonMax)], "?")
	b, item := []byte{0}, table.Item{}
	if whole {
		b[0], item = 1, e.Change.New
	}
	b = binary.AppendUvarint(b, uint64(tries))
	b = binary.AppendUvarint(b, uint64(len(text)))
	b = append(b, text...)
	b = binary.AppendUvarint(b, uint64(len(e.Change.ID)))
	b = append(b, e.Change.ID...)
	// Put: only this consumer writes here, and always the same.
	if _, err := t.Commit(ctx, table.Put(key, record.AppendChange(b, e.Commit, e.Change.Key, item))); err != nil {
		return fmt.Errorf("write a dead letter for %q: %w", consumer, err)
	}
	return nil
}

// inOrder pads a delivery's number, so that sort keys have its order.
func inOrder(id string) string {
	const digits = 40 // a stream's sequence number has up to 40
	return strings.Repeat("0", max(0, digits-len(id))) + id
}

// DeadLetters yields the consumer's dead letters, oldest first.
func DeadLetters(ctx context.Context, t table.Table, consumer string) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for item, err := range t.Query(ctx, part(consumer), table.Range{}) {
			if err != nil {
				yield(DeadLetter{}, fmt.Errorf("list dead letters of %q: %w", consumer, err))
				return
			}
			d, err := parse(consumer, item)
			if !yield(d, err) {
				return
			}
		}
	}
}

func parse(consumer string, item table.Item) (DeadLetter, error) {
	d, b := DeadLetter{Consumer: consumer, item: item}, item.Data
	malformed := func() (DeadLetter, error) {
		return d, fmt.Errorf("read dead letter %v: %w", item.Key, record.ErrMalformed)
	}
	if len(b) < 2 {
		return malformed()
	}
	d.Whole = b[0] == 1
	tries, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return malformed()
	}
	d.Tries, b = int(tries), b[1+n:]
	var text [2]string // the reason and the delivery's name
	for i := range text {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return malformed()
		}
		text[i], b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	var err error
	if d.Commit, d.Change, err = record.ParseChange(b); err != nil {
		return malformed()
	}
	d.Reason, d.Change.ID = text[0], text[1]
	return d, nil
}

// Replay hands the letter's change to the consumer and removes the letter if
// that succeeds.
func Replay(ctx context.Context, t table.Table, d DeadLetter, to table.Consumer) error {
	change := d.Change
	if !d.Whole {
		items, err := t.Get(ctx, change.Key)
		if err != nil {
			return fmt.Errorf("read the item of a dead letter: %w", err)
		}
		if len(items) == 1 {
			change.New = items[0]
		}
	}
	if errs := to.Consume(ctx, []table.Change{change}); len(errs) > 0 && errs[0] != nil {
		return fmt.Errorf("replay a dead letter of %q: %w", d.Consumer, errs[0])
	}
	return Discard(ctx, t, d)
}

// Discard removes the letter without replaying it.
func Discard(ctx context.Context, t table.Table, d DeadLetter) error {
	if _, err := t.Commit(ctx, table.Delete(d.item)); err != nil {
		return fmt.Errorf("remove a dead letter of %q: %w", d.Consumer, err)
	}
	return nil
}
