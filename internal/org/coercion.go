package org

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// Coercion is how often a connection's messages were bent by one rule. It holds
// nothing of the messages.
type Coercion struct {
	Rule  string    `json:"rule"` // as package scim/schema names it
	Count int64     `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// countEvery is how often a process that runs between requests writes down what
// it counted, for each connection.
const countEvery = time.Minute

// One that is frozen between them, as in Lambda, may never be asked again: what
// it did not write with its last request is lost. It writes with a request as
// soon as
//
//   - frozenEvery has passed since it last wrote, or
//   - what waits is more than a tenth of the run of messages it belongs to, or
//     frozenMost messages.
//
// So a short run, as of a directory that asks every 40 minutes, is written
// nearly whole, and in a long one a message costs the fiftieth part of a write.
// A minute without a write ends a run.
const (
	frozenEvery = 5 * time.Second
	frozenShare = 10
	frozenMost  = 50
)

// countWait is how long a write of counts may take.
const countWait = 2 * time.Second

// counts are what a process has counted and not written yet.
type counts struct {
	mu sync.Mutex
	m  map[whose]*tally
}

type tally struct {
	org     *Org
	rules   map[string]Coercion
	written time.Time // when it was last tried
	waiting int       // messages that rules counts
	run     int       // messages of this run that were written
	failed  bool      // the last try
}

// due reports whether a process that is frozen between requests writes now.
func (t *tally) due(now time.Time) bool {
	switch {
	case len(t.rules) == 0:
		return false
	case now.Sub(t.written) >= frozenEvery:
		return true
	case t.failed: // a table that takes nothing is not asked with every request
		return false
	}
	return t.waiting >= frozenMost || t.waiting*frozenShare > t.run
}

func countKey(o *Org, c identity.Connection) table.Key {
	return table.Key{Part: o.Part(), Sort: "R#" + string(c)}
}

// CountCoercions counts the rules by which a message of the connection was bent.
// It stays in this process until WriteCoercions or WriteCoercionsFrozen; what is
// not written by then is lost with the process.
func (s *Store) CountCoercions(a Access, rules iter.Seq2[string, int]) {
	now := s.now().UTC().Truncate(time.Second)
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	t := s.counts.m[a.whose()]
	if t == nil {
		if s.counts.m == nil || len(s.counts.m) >= maxCached {
			s.counts.m = make(map[whose]*tally)
		}
		t = &tally{org: a.Org}
		s.counts.m[a.whose()] = t
	}
	t.waiting++
	for rule, n := range rules {
		t.add(Coercion{Rule: rule, Count: int64(n), First: now, Last: now})
	}
}

func (t *tally) add(c Coercion) {
	if t.rules == nil {
		t.rules = make(map[string]Coercion)
	}
	t.rules[c.Rule] = t.rules[c.Rule].plus(c)
}

// plus is both counts together; the zero Coercion counts nothing.
func (c Coercion) plus(o Coercion) Coercion {
	if c.Count == 0 {
		return o
	}
	c.Count += o.Count
	if o.First.Before(c.First) {
		c.First = o.First
	}
	if o.Last.After(c.Last) {
		c.Last = o.Last
	}
	return c
}

// WriteCoercions writes down what this process counted: with all everything,
// otherwise what was not written for a minute. What could not be written is kept
// for the next time; where the outcome of a write is unknown it may count twice.
func (s *Store) WriteCoercions(ctx context.Context, all bool) error {
	return s.writeCounted(ctx, func(t *tally, now time.Time) bool { return all || now.Sub(t.written) >= countEvery })
}

// WriteCoercionsFrozen is WriteCoercions, with every request, of a process that
// is frozen between requests. Lost with the process is at most a tenth of a run
// of messages, or 49 of them.
func (s *Store) WriteCoercionsFrozen(ctx context.Context) error {
	return s.writeCounted(ctx, (*tally).due)
}

// counted is what a process counted of one connection and writes now.
type counted struct {
	whose
	org      *Org
	rules    map[string]Coercion
	messages int
}

func (s *Store) writeCounted(ctx context.Context, due func(*tally, time.Time) bool) error {
	now := s.now()
	var list []counted
	s.counts.mu.Lock()
	for id, t := range s.counts.m {
		quiet := now.Sub(t.written) >= countEvery
		switch {
		case len(t.rules) == 0:
			if quiet {
				delete(s.counts.m, id)
			}
		case due(t, now):
			list = append(list, counted{id, t.org, t.rules, t.waiting})
			if quiet {
				t.run = 0
			}
			t.run += t.waiting
			t.rules, t.waiting, t.written, t.failed = nil, 0, now, false
		}
	}
	s.counts.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, countWait)
	defer cancel()
	var errs []error
	for _, d := range list {
		if err := s.writeCoercions(ctx, d.org, d.connection, d.rules); err != nil {
			errs = append(errs, err)
			s.keep(d, now)
		}
	}
	return errors.Join(errs...)
}

// keep takes back what was not written.
func (s *Store) keep(d counted, now time.Time) {
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	t := s.counts.m[d.whose]
	if t == nil {
		if len(s.counts.m) >= maxCached {
			return
		}
		t = &tally{org: d.org, written: now, run: d.messages}
		s.counts.m[d.whose] = t
	}
	for _, c := range d.rules {
		t.add(c)
	}
	t.waiting += d.messages
	t.run = max(0, t.run-d.messages)
	t.failed = true
}

// writeCoercions adds to what is stored. Of two processes at once one writes
// again upon what the other wrote.
func (s *Store) writeCoercions(ctx context.Context, o *Org, id identity.Connection, more map[string]Coercion) error {
	key := countKey(o, id)
	for {
		items, err := s.table.Get(ctx, key)
		if err != nil {
			return fmt.Errorf("read a connection's counts: %w", err)
		}
		var list []Coercion
		if len(items) > 0 {
			if err := decode(items[0], &list); err != nil {
				return err
			}
		}
		b, err := json.Marshal(together(list, more))
		if err != nil {
			return fmt.Errorf("write a connection's counts: %w", err)
		}
		w := table.Create(key, b)
		if len(items) > 0 {
			w = table.Replace(items[0], b)
		}
		_, err = s.table.Commit(ctx, w)
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write a connection's counts: %w", err)
		}
		return nil
	}
}

// together adds counts to a list, which is in the order of rules.
func together(list []Coercion, more map[string]Coercion) []Coercion {
	sum := tally{rules: make(map[string]Coercion, len(list)+len(more))}
	for _, c := range list {
		sum.add(c)
	}
	for _, c := range more {
		sum.add(c)
	}
	out := make([]Coercion, 0, len(sum.rules))
	for _, rule := range slices.Sorted(maps.Keys(sum.rules)) {
		out = append(out, sum.rules[rule])
	}
	return out
}

// Coercions returns how often the connection's messages were bent, by rule in
// the order of their names: what is written down, and what this process counted
// since.
func (s *Store) Coercions(ctx context.Context, o *Org, id identity.Connection) ([]Coercion, error) {
	items, err := s.table.Get(ctx, countKey(o, id))
	if err != nil {
		return nil, fmt.Errorf("read a connection's counts: %w", err)
	}
	var list []Coercion
	if len(items) > 0 {
		if err := decode(items[0], &list); err != nil {
			return nil, err
		}
	}
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	if t := s.counts.m[whose{o.ID, id}]; t != nil {
		list = together(list, t.rules)
	}
	return list, nil
}
