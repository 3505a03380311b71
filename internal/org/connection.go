package org

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// check refuses settings that no connection can have.
func (c Connection) check() error {
	if !slices.Contains(Dialects, c.Dialect) {
		return fault.New(fault.Invalid, "", "The dialect %.20q is not known: choose %s.", c.Dialect, strings.Join(Dialects, ", "))
	}
	if c.Discovery != "" && !slices.Contains(Discoveries, c.Discovery) { // none: made before there was a choice
		return fault.New(fault.Invalid, "", "The discovery %.20q is not known: choose %s.", c.Discovery, strings.Join(Discoveries, ", "))
	}
	return checkRate(c.Rate)
}

// SetWelcome turns the welcome emails of a connection on or off, for users that
// join from now on.
func (s *Store) SetWelcome(ctx context.Context, o *Org, id identity.Connection, suppress bool) error {
	_, err := s.UpdateConnection(ctx, o, id, func(c *Connection) { c.SuppressWelcome = suppress })
	return err
}

// SetDiscovery chooses what a connection's client is told by discovery, one of
// Discoveries.
func (s *Store) SetDiscovery(ctx context.Context, o *Org, id identity.Connection, told string) error {
	_, err := s.UpdateConnection(ctx, o, id, func(c *Connection) { c.Discovery = told })
	return err
}

// UpdateConnection changes the settings of a connection: its name, dialect, rate,
// discovery and welcome emails. What it stored stays as it is: a dialect decides how
// messages are read, not how a resource is kept. The change holds at once for
// this store, within its cache's time for others. edit is called again where
// somebody else changed the connection meanwhile.
func (s *Store) UpdateConnection(ctx context.Context, o *Org, id identity.Connection, edit func(*Connection)) (Connection, error) {
	if _, ok := identity.ParseConnection(string(id)); !ok {
		return Connection{}, notFound("connection")
	}
	for {
		item, err := s.connectionItem(ctx, o, id)
		if err != nil {
			return Connection{}, err
		}
		var was Connection
		if err := decode(item, &was); err != nil {
			return Connection{}, err
		}
		c := was
		edit(&c)
		c.ID, c.Created = was.ID, was.Created
		if c.Name, err = label("connection", c.Name); err != nil {
			return Connection{}, err
		}
		if err := c.check(); err != nil {
			return Connection{}, err
		}
		if c == was {
			s.cache.forget(o.ID, id) // changed elsewhere, perhaps
			return c, nil
		}
		_, err = s.table.Commit(ctx, table.Replace(item, encode(c)))
		s.cache.forget(o.ID, id) // also where the answer was lost: it may have happened
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return Connection{}, fmt.Errorf("change connection: %w", err)
		}
		return c, nil
	}
}
