package org

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
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

// countEvery is how often a process writes down what it counted, for each
// connection.
const countEvery = time.Minute

// countWait is how long a write of counts may take.
const countWait = 2 * time.Second

// counts are what a process has counted and not written yet.
type counts struct {
	mu sync.Mutex
	m  map[identity.Connection]*tally
}

type tally struct {
	org     *Org
	rules   map[string]Coercion
	written time.Time // when it was last tried
}

func countKey(o *Org, c identity.Connection) table.Key {
	return table.Key{Part: o.Part(), Sort: "R#" + string(c)}
}

// CountCoercions counts the rules by which a message of the connection was bent.
// It stays in this process until WriteCoercions; what a process counted in its
// last minute is lost with it, and so is, of a process that is frozen between
// requests, what no further request gave it the time to write.
func (s *Store) CountCoercions(a Access, rules iter.Seq2[string, int]) {
	now := s.now().UTC().Truncate(time.Second)
	s.counts.mu.Lock()
	defer s.counts.mu.Unlock()
	t := s.counts.m[a.Connection.ID]
	if t == nil {
		if s.counts.m == nil || len(s.counts.m) >= maxCached {
			s.counts.m = make(map[identity.Connection]*tally)
		}
		t = &tally{org: a.Org}
		s.counts.m[a.Connection.ID] = t
	}
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
	now := s.now()
	type due struct {
		id  identity.Connection
		org *Org
		n   map[string]Coercion
	}
	var list []due
	s.counts.mu.Lock()
	for id, t := range s.counts.m {
		switch {
		case !all && now.Sub(t.written) < countEvery:
		case len(t.rules) == 0:
			delete(s.counts.m, id)
		default:
			list = append(list, due{id, t.org, t.rules})
			t.rules, t.written = nil, now
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
		if err := s.writeCoercions(ctx, d.org, d.id, d.n); err != nil {
			errs = append(errs, err)
			s.counts.mu.Lock()
			if t := s.counts.m[d.id]; t != nil {
				for _, c := range d.n {
					t.add(c)
				}
			} else if len(s.counts.m) < maxCached {
				s.counts.m[d.id] = &tally{org: d.org, rules: d.n, written: now}
			}
			s.counts.mu.Unlock()
		}
	}
	return errors.Join(errs...)
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
	for _, c := range sum.rules {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Coercion) int { return strings.Compare(a.Rule, b.Rule) })
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
	if t := s.counts.m[id]; t != nil && t.org.ID == o.ID {
		list = together(list, t.rules)
	}
	return list, nil
}
