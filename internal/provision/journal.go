package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/org"
	"gatehouse/internal/roster"
	"gatehouse/internal/table"
)

// A change of more members than one commit takes is written down whole, in the
// commit that begins it: the journal. That commit locks the headers of the
// group's members and marks the group, so that whoever writes to the group
// meets the journal, helps to carry it out, and then decides anew. What is left
// of it when a program dies is due work. So the change happens wholly or not at
// all, although readers may see it in progress, and it is one event.

const (
	// perStep is how many memberships one commit of a journal changes: two writes
	// each, four headers, the journal, and a page of the event.
	perStep = (table.MaxWrites - 6) / 2
	// pageEntries is how many entries one page of a journal holds: 176 KB.
	pageEntries = 8_000
	// maxEntries keeps what begins a journal below the 4 MB of a commit.
	maxEntries = 150_000

	// lease is for how long whoever carries out a journal has it to themselves
	// after each step.
	lease = 1500 * time.Millisecond
	// patience is for how long others wait for it.
	patience = 10 * time.Second
)

// DueKind is the kind of due work whose handler is Service.Resume.
const DueKind = "members"

// memberEdit is one entry of a journal.
type memberEdit struct {
	roster.Member
	remove bool
}

func edits(add, remove []roster.Member) []memberEdit {
	out := make([]memberEdit, 0, len(add)+len(remove))
	for _, m := range add {
		out = append(out, memberEdit{Member: m})
	}
	for _, m := range remove {
		out = append(out, memberEdit{m, true})
	}
	return out
}

// journal is the change as stored, and how far it is.
type journal struct {
	Event   identity.Event `json:"e"` // which the change will be
	Kind    audit.Kind     `json:"k"`
	Actor   audit.Actor    `json:"w"`
	Whole   bool           `json:"l,omitempty"` // the entries are all members from then on
	Done    int            `json:"d,omitempty"` // entries dealt with; not of a whole list
	Pages   int            `json:"p,omitempty"` // of the event
	Added   int            `json:"a,omitempty"`
	Removed int            `json:"r,omitempty"`
	Holder  string         `json:"h"` // who carries it out
	Until   int64          `json:"t"` // ms since 1970: when somebody else may

	item    table.Item
	entries []memberEdit
	changes []audit.Change // of attributes
	parts   []table.Item   // what else is stored of it
}

func (j *journal) encode() []byte {
	b, err := json.Marshal(j)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

// hold gives the journal to the holder for a lease.
func (j *journal) hold(holder string, now time.Time) {
	j.Holder, j.Until = holder, now.Add(lease).UnixMilli()
}

// Sort keys in a journal's partition besides the journal's own.
const (
	changesSort = "changes"
	pageSort    = "p"
)

func dueRef(o *org.Org, g identity.Group) due.Ref {
	return due.Ref{Kind: DueKind, Org: o.ID, ID: string(g)}
}

// newJournal returns the journal of a change of g's members and the writes that
// begin it: in their commit the group, too, has to name the journal.
func (d Directory) newJournal(g roster.Group, kind audit.Kind, entries []memberEdit, whole bool, changes []audit.Change) (*journal, []table.Write, error) {
	if len(entries) > maxEntries {
		return nil, nil, fault.New(fault.Invalid, fault.TooLarge, "More than %d members cannot be changed in one request.", maxEntries)
	}
	now := d.s.now()
	j := &journal{Event: identity.MintEvent(now, g.LastEvent), Kind: kind, Actor: d.actor, Whole: whole, entries: entries, changes: changes}
	j.hold(identity.Random(10), now)
	key := d.Roster.JournalKey(g.ID)
	j.item = table.Item{Key: key, Data: j.encode()}
	writes := []table.Write{table.Create(key, j.item.Data)}
	part := func(sort string, data []byte) {
		k := table.Key{Part: key.Part, Sort: sort}
		writes = append(writes, table.Create(k, data))
		j.parts = append(j.parts, table.Item{Key: k})
	}
	if len(changes) > 0 {
		part(changesSort, audit.EncodeChanges(changes))
	}
	n := 0
	for page := range slices.Chunk(entries, pageEntries) {
		part(fmt.Sprintf("%s%04d", pageSort, n), encodeEdits(page))
		n++
	}
	for _, k := range d.Roster.HeaderKeys(g.ID) {
		writes = append(writes, table.Add(k, roster.Lock, roster.Lock-roster.Range, roster.Lock+roster.Range))
	}
	return j, append(writes, due.At(now.Add(lease), dueRef(d.Roster.Org(), g.ID))), nil
}

// begun tells the journal the version of the commit that began it.
func (j *journal) begun(v table.Version) {
	j.item.Version = v
	for i := range j.parts {
		j.parts[i].Version = v
	}
}

// An entry is a letter, which says what is to be done with what, and the
// member's id without the connection, which is the group's.
const entryLen = 22

var editLetters = [4]byte{'u', 'g', 'U', 'G'}

func encodeEdits(entries []memberEdit) []byte {
	b := make([]byte, 0, len(entries)*entryLen)
	for _, e := range entries {
		l := 0
		if e.Group {
			l |= 1
		}
		if e.remove {
			l |= 2
		}
		b = append(append(b, editLetters[l]), e.ID[len(e.ID)-entryLen+1:]...)
	}
	return b
}

func decodeEdits(c identity.Connection, b []byte) ([]memberEdit, error) {
	var out []memberEdit
	for ; len(b) >= entryLen; b = b[entryLen:] {
		l := slices.Index(editLetters[:], b[0])
		id := string(c) + string(b[1:entryLen])
		if _, ok := identity.ParseUser(id); !ok || l < 0 {
			return nil, errJournal
		}
		out = append(out, memberEdit{roster.Member{ID: id, Group: l&1 != 0}, l&2 != 0})
	}
	if len(b) > 0 {
		return nil, errJournal
	}
	return out, nil
}

var errJournal = errors.New("a journal is damaged")

// openJournal reads the group's journal; nil if there is none. With its entries
// only if whole.
func (s *Service) openJournal(ctx context.Context, r roster.Roster, g identity.Group, whole bool) (*journal, error) {
	key := r.JournalKey(g)
	if !whole {
		items, err := s.table.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("read a journal: %w", err)
		}
		if len(items) == 0 {
			return nil, nil
		}
		return decodeJournal(items[0])
	}
	var j *journal
	for it, err := range s.table.Query(ctx, key.Part, table.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("read a journal: %w", err)
		}
		if it.Key == key {
			if j, err = decodeJournal(it); err != nil {
				return nil, err
			}
			continue
		}
		if j == nil {
			return nil, fmt.Errorf("read %v: %w", it.Key, errJournal)
		}
		j.parts = append(j.parts, it)
		if it.Sort == changesSort {
			j.changes, err = audit.DecodeChanges(it.Data)
		} else {
			var more []memberEdit
			more, err = decodeEdits(g.Connection(), it.Data)
			j.entries = append(j.entries, more...)
		}
		if err != nil {
			return nil, fmt.Errorf("read %v: %w", it.Key, err)
		}
	}
	return j, nil
}

func decodeJournal(it table.Item) (*journal, error) {
	j := &journal{item: it}
	if err := json.Unmarshal(it.Data, j); err != nil {
		return nil, fmt.Errorf("read %v: %w", it.Key, errJournal)
	}
	return j, nil
}

// finish carries out what is left of the group's journal, or waits for whoever
// does. Afterwards there was a moment without one.
func (s *Service) finish(ctx context.Context, r roster.Roster, g identity.Group) error {
	holder := identity.Random(10)
	var waited time.Duration
	var last error
	for taken := 0; taken < tries; {
		j, err := s.openJournal(ctx, r, g, false)
		if err != nil || j == nil {
			return err
		}
		now := s.now()
		if j.Until > now.UnixMilli() && j.Holder != holder {
			if waited >= patience {
				return busy(last)
			}
			d := 5*time.Millisecond + rand.N(min(waited/2+10*time.Millisecond, 250*time.Millisecond))
			if !sleep(ctx, d) {
				return ctx.Err()
			}
			waited += d
			continue
		}
		taken++
		if j, err = s.openJournal(ctx, r, g, true); err != nil || j == nil {
			return err
		}
		j.hold(holder, s.now())
		if err = s.keep(ctx, j); err == nil {
			err = s.carry(ctx, r, g, j)
		}
		if !table.Conflicts(err) {
			return err
		}
		last = err
	}
	return busy(last)
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep commits the journal as it is now, with the writes: nobody else has
// touched it since it was read.
func (s *Service) keep(ctx context.Context, j *journal, writes ...table.Write) error {
	data := j.encode()
	v, err := s.table.Commit(ctx, append(writes, table.Replace(j.item, data))...)
	if err != nil {
		return err
	}
	j.item = table.Item{Key: j.item.Key, Version: v, Data: data}
	return nil
}

// carry carries out a journal that is held. A conflict says that somebody else
// took it over, or ended it. After any other error the next one may have it at
// once.
func (s *Service) carry(ctx context.Context, r roster.Roster, g identity.Group, j *journal) error {
	err := s.steps(ctx, r, g, j)
	if err == nil {
		err = s.end(ctx, r, g, j)
	}
	if err != nil && !table.Conflicts(err) {
		s.release(ctx, r, g, j.Holder)
		return fmt.Errorf("change members: %w", err)
	}
	return err
}

// unanswered gives a journal back whose beginning failed, and may have happened
// all the same.
func (s *Service) unanswered(ctx context.Context, r roster.Roster, g identity.Group, j *journal, err error) {
	if j != nil && !table.Conflicts(err) {
		s.release(ctx, r, g, j.Holder)
	}
}

// release gives the journal back, if that can be done.
func (s *Service) release(ctx context.Context, r roster.Roster, g identity.Group, holder string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
	defer cancel()
	j, err := s.openJournal(ctx, r, g, false)
	if err != nil || j == nil || j.Holder != holder {
		return
	}
	j.Until = 0
	_ = s.keep(ctx, j) // else its lease runs out
}

func (s *Service) steps(ctx context.Context, r roster.Roster, g identity.Group, j *journal) error {
	work := j.entries[min(j.Done, len(j.entries)):]
	if j.Whole {
		// Nobody else changes the members now, so what is left to do is what
		// differs.
		var err error
		if work, err = s.differing(ctx, r, g, j); err != nil {
			return err
		}
	}
	for len(work) > 0 {
		n, err := s.step(ctx, r, g, j, work)
		if err != nil {
			return err
		}
		work = work[n:]
	}
	return nil
}

// differing compares a whole list with who the members are. It keeps the journal
// while it reads them, which takes its time: else the next one would begin to
// read, and so on.
func (s *Service) differing(ctx context.Context, r roster.Roster, g identity.Group, j *journal) ([]memberEdit, error) {
	missing := make(map[roster.Member]bool, len(j.entries))
	for _, e := range j.entries {
		missing[e.Member] = true
	}
	var out []memberEdit
	for m, err := range r.Members(ctx, g) {
		if err != nil {
			return nil, err
		}
		if now := s.now(); now.Add(lease/2).UnixMilli() > j.Until {
			j.hold(j.Holder, now)
			if err := s.keep(ctx, j); err != nil {
				return nil, err
			}
		}
		if missing[m] {
			delete(missing, m)
		} else {
			out = append(out, memberEdit{m, true})
		}
	}
	for _, e := range j.entries {
		if missing[e.Member] {
			out = append(out, e)
		}
	}
	return out, nil
}

// step deals with the first n entries of the work in one commit. Who is a member
// already, is none, or does not exist any more is passed over: a step that is
// tried again, or whose request came late, comes to the same.
func (s *Service) step(ctx context.Context, r roster.Roster, g identity.Group, j *journal, work []memberEdit) (n int, err error) {
	work = work[:min(len(work), table.MaxGet/2)]
	keys := make([]table.Key, 0, 2*len(work))
	for _, e := range work {
		other := r.ResourceKey(e.Member)
		if e.remove {
			other = r.MembershipKey(e.Member, g)
		}
		keys = append(keys, r.MemberKey(g, e.Member), other)
	}
	items, err := s.table.Get(ctx, keys...)
	if err != nil {
		return 0, fmt.Errorf("read members: %w", err)
	}
	there := make(map[table.Key]table.Item, len(items))
	for _, it := range items {
		there[it.Key] = it
	}
	var writes []table.Write
	var page audit.Page
	count := func(m roster.Member, by int64) {
		writes = append(writes, table.Add(r.MemberHeaderKey(g, m), by, roster.Lock-roster.Range, roster.Lock+roster.Range))
	}
	for n < len(work) && len(page.Added)+len(page.Removed) < perStep {
		e, is, other := work[n], there[keys[2*n]], there[keys[2*n+1]]
		n++
		switch {
		case e.remove && is.Exists():
			writes = append(writes, table.Delete(is))
			if other.Exists() {
				writes = append(writes, table.Delete(other))
			}
			count(e.Member, -1)
			page.Removed = append(page.Removed, e.ID)
		case !e.remove && !is.Exists() && other.Exists():
			writes = append(writes, table.Create(r.MembershipKey(e.Member, g), nil), table.Create(keys[2*(n-1)], e.Data()))
			count(e.Member, 1)
			page.Added = append(page.Added, e.ID)
		}
	}
	j.Done += n
	if len(writes) == 0 {
		return n, nil
	}
	writes = append(mergeAdds(writes), page.Write(r.Org(), string(g), j.Event, j.Pages))
	j.Pages++
	j.Added += len(page.Added)
	j.Removed += len(page.Removed)
	j.hold(j.Holder, s.now())
	return n, s.keep(ctx, j, writes...)
}

// end unlocks the group and writes the event. What came to nothing, because
// others had done it meanwhile, has none.
func (s *Service) end(ctx context.Context, r roster.Roster, g identity.Group, j *journal) error {
	items, err := s.table.Get(ctx, r.GroupKey(g))
	if err != nil {
		return fmt.Errorf("read the group of a journal: %w", err)
	}
	writes := []table.Write{table.Delete(j.item)}
	for _, it := range j.parts {
		writes = append(writes, table.Delete(it))
	}
	for _, k := range r.HeaderKeys(g) {
		writes = append(writes, table.Add(k, -roster.Lock, -roster.Range, roster.Range))
	}
	happened := j.Added+j.Removed+len(j.changes) > 0
	if happened {
		e := audit.Event{ID: j.Event, Subject: string(g), Kind: j.Kind, Actor: j.Actor, Paged: j.Pages > 0, Changes: j.changes}
		if j.Added > 0 {
			e.Effects = []audit.Effect{audit.Settle}
		}
		if c, any := countedChange(j.Added, j.Removed); any {
			e.Changes = append(slices.Clone(j.changes), c)
		}
		event, err := e.Write(r.Org(), nil)
		if err != nil {
			return err
		}
		writes = append(writes, event)
	}
	for _, it := range items {
		group, err := roster.Group{ID: g}.Stored(r, it.Version, it.Data)
		if err != nil {
			return err
		}
		if group.Journal = ""; happened {
			group.LastEvent = j.Event
		}
		writes = append(writes, table.Replace(it, group.Encode()))
	}
	_, err = s.table.Commit(ctx, writes...)
	return err
}

// Resume carries out what is left of the group's journal when whoever began it
// is gone: the handler of due work of DueKind. While somebody is at it, it is
// looked at again later.
func (s *Service) Resume(ctx context.Context, o *org.Org, g identity.Group) error {
	r := roster.Of(s.table, o)
	j, err := s.openJournal(ctx, r, g, false)
	if err != nil || j == nil {
		return err
	}
	if until := time.UnixMilli(j.Until); until.After(s.now()) {
		if _, err := s.table.Commit(ctx, due.At(until.Add(time.Second), dueRef(o, g))); err != nil {
			return fmt.Errorf("put off a journal: %w", err)
		}
		return nil
	}
	return s.finish(ctx, r, g)
}
