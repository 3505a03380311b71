// Package due keeps work that becomes due at some time: leases that run out,
// retries, reminders, expiry. What becomes due is written in the commit that
// decides it, as a reference; a sweep hands each reference whose time has come
// to the handler of its kind.
//
// It is not a queue: it promises no order and no moment, only that a reference
// is handled at its time or later, at least once, and kept until it is. The
// reference says what to look at, never what to do: a handler reads the state
// and may find that nothing is left to do.
//
// Keys of this package:
//
//	DUE#<minute>#<shard>  <kind>#<org>#<id>            a reference, under the minute (UTC) of its time
//	DUE                   #cursor                      the minute up to which all is swept
//	DUE#dead              <kind>#<org>#<id>            a reference that was given up
package due

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

const (
	// Shards is over how many partitions one minute is spread: 500 references
	// a second stay below 130 write units a second in each.
	Shards = 8
	// Lag is for how long after its end a minute is looked at again. A reference
	// is found if its commit took place before the lag was over, as the sweep's
	// clock has it: that covers clocks that disagree and commits that were slow.
	Lag = 5 * time.Minute
)

// Ref says what becomes due. It names, and holds no person: it stands in keys.
type Ref struct {
	Kind string       `json:"k"` // selects the handler; letters and hyphens
	Org  identity.Org `json:"o,omitempty"`
	ID   string       `json:"i"` // the handler's; valid in a key, at most 500 bytes
}

func (r Ref) sort() string { return r.Kind + "#" + string(r.Org) + "#" + r.ID }

// At returns the write that makes the reference due at t. Writing it again
// changes nothing but that earlier failures are forgotten, so it may stand in a
// commit that is tried again. Two times of one reference are two entries when
// they fall in different minutes. t may lie in the past by less than Lag; what
// is due at once is due now.
func At(t time.Time, ref Ref) table.Write {
	return entry{Ref: ref, At: t.UnixMilli()}.write()
}

// entry is a reference as stored.
type entry struct {
	Ref
	At    int64 `json:"t"`           // ms since 1970
	Tries int   `json:"n,omitempty"` // how often its handler failed
}

func (e entry) time() time.Time { return time.UnixMilli(e.At).UTC() }

func (e entry) write() table.Write {
	sort := e.sort()
	part := partOf(minuteOf(e.time()), identity.Spread(sort, Shards))
	return table.Put(table.Key{Part: part, Sort: sort}, e.encode())
}

func (e entry) encode() []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

func decode(it table.Item) (entry, error) {
	var e entry
	if err := json.Unmarshal(it.Data, &e); err != nil {
		return entry{}, fmt.Errorf("read %v: the item is damaged", it.Key)
	}
	return e, nil
}

// minuteForm sorts as time does and can be read by an operator.
const minuteForm = "200601021504"

func minuteOf(t time.Time) time.Time { return t.UTC().Truncate(time.Minute) }

func partOf(minute time.Time, shard int) string {
	return "DUE#" + minute.Format(minuteForm) + "#" + strconv.Itoa(shard)
}

var (
	cursorKey = table.Key{Part: "DUE", Sort: "#cursor"}
	deadPart  = "DUE#dead"
)
