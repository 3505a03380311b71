package courier

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gatehouse/internal/due"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/mail"
	"gatehouse/internal/table"
)

// Consume dispatches the messages that a batch of the feed shows as queued: it
// is the welcome handler, a table.Consumer for the keys of Wanted. A change is
// a sign to look at the message; what is done depends on what is stored.
func (s *Service) Consume(ctx context.Context, batch []table.Change) []error {
	errs := make([]error, len(batch))
	places := map[name][]int{} // changes of one message: it is looked at once
	for i, c := range batch {
		if n, ok := parseName(c.Key); ok && queuedNow(c.New, s.now()) {
			places[n] = append(places[n], i)
		}
	}
	var work sync.WaitGroup
	slots := make(chan struct{}, s.parallel)
	for _, n := range inTurn(places) {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			err := s.consumed(ctx, n)
			for _, i := range places[n] { // nobody else writes there
				errs[i] = err
			}
		})
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			return errs
		}
	}
	return nil
}

// Dispatch makes the attempt that is due for the message under the key, if any,
// and writes down what became of it. Its error is the table's, or that of an
// organization or user that cannot be read: the message is then as it was, or
// has a lease that will run out.
func (s *Service) Dispatch(ctx context.Context, k table.Key) error {
	n, ok := parseName(k)
	if !ok {
		return fmt.Errorf("dispatch: not the key of a message")
	}
	_, err := s.dispatch(ctx, n, new(time.Duration))
	return err
}

// dispatch returns when there will be something to do for the message; the
// zero time if nothing, or nothing that is not already due work. It says how
// long the sending took, if anything was sent.
func (s *Service) dispatch(ctx context.Context, n name, sent *time.Duration) (wake time.Time, err error) {
	for range maxRaces {
		m, ok, err := s.one(ctx, n)
		if err != nil || !ok || !m.Status.open() {
			return time.Time{}, err
		}
		now := s.now()
		if now.Before(m.Wake) {
			return m.Wake, nil
		}
		letter, verdict, err := s.prepare(ctx, &m, now)
		if err != nil {
			return time.Time{}, err
		}
		if verdict.status != "" {
			m.become(verdict.status, verdict.reason, now)
			_, err = s.table.Commit(ctx, append(verdict.given, table.Replace(m.item, m.encode()))...)
			if table.Conflicts(err) {
				continue
			}
			if err != nil {
				return time.Time{}, fmt.Errorf("close a message: %w", err)
			}
			s.tell(m)
			return time.Time{}, nil
		}
		claimed, err := s.claim(ctx, m, now)
		switch {
		case table.Conflicts(err):
			continue
		case err != nil:
			return time.Time{}, err
		case !claimed.item.Exists():
			return time.Time{}, nil // put off
		}
		return time.Time{}, s.attempt(ctx, claimed, letter, now, sent)
	}
	return time.Time{}, raced()
}

// verdict is the end of a message without an attempt; the zero verdict is none.
type verdict struct {
	status Status
	reason string
	given  []table.Write // checks of what it rests on, where that can change back
}

// prepare decides whether an attempt is to be made, and renders the mail. It
// gives the link its whole life again in m where the message waited long.
func (s *Service) prepare(ctx context.Context, m *message, now time.Time) (mail.Message, verdict, error) {
	none := mail.Message{}
	if m.Superseded {
		return none, verdict{status: Cancelled, reason: ReasonSuperseded}, nil
	}
	o, err := s.orgs.Get(ctx, m.org)
	if fault.Is(err, fault.NotFound) {
		return none, verdict{status: Cancelled, reason: ReasonDeleted}, nil
	}
	if err != nil {
		return none, verdict{}, fmt.Errorf("read a message's organization: %w", err)
	}
	u, err := s.user(ctx, o, m.user)
	switch {
	case fault.Is(err, fault.NotFound):
		return none, verdict{status: Cancelled, reason: ReasonDeleted}, nil
	case err != nil:
		return none, verdict{}, fmt.Errorf("read a message's user: %w", err)
	case !u.Active():
		// Resuming asks for the mail again: before this commit, which then
		// conflicts and looks again, or after it.
		return none, verdict{Cancelled, ReasonSuspended, []table.Write{table.Check(u.Item)}}, nil
	case !u.Activated.IsZero():
		return none, verdict{status: Cancelled, reason: ReasonActivated}, nil
	case m.Attempts >= MaxAttempts:
		return none, verdict{status: Dead, reason: either(m.Reason, ReasonLost)}, nil
	}
	// A later attempt can go to another address than the first, which may have
	// the mail too: what the first knew stays.
	if !m.Tried {
		m.Event = max(m.Event, u.LastEvent)
	}
	to := u.Email()
	if !usable(to) {
		return none, verdict{status: Undeliverable, reason: ReasonNoAddress}, nil
	}
	if m.Attempts == 0 && m.Expires.Sub(now) < renewBelow {
		m.Expires = whole(now).Truncate(time.Second).Add(LinkLife)
	}
	letter, err := render(welcome{
		Language: u.Language(o.Language), Org: o.Name, Name: u.Name(), Email: to, Admin: u.Admin,
		Link: s.links.Activation(s.links.secret(m.name)), Expires: m.Expires,
	})
	if err != nil {
		return none, verdict{}, err
	}
	letter.ID, letter.From, letter.Date = s.links.messageID(m.name), s.from, now
	letter.To = mail.Address{Addr: to}
	return letter, verdict{}, nil
}

// claim takes the lease of the next attempt; its end is due work of the same
// commit, so that no crash leaves a message behind. Where the organization's
// day is full it puts the message off and returns a message without an item.
// A conflict says that somebody else took it.
func (s *Service) claim(ctx context.Context, m message, now time.Time) (message, error) {
	first := m.Attempts == 0
	waiting := m
	m.become(Sending, "", now)
	m.Attempts++
	m.Tried = true
	m.Wake = whole(now.Add(s.lease))
	writes := []table.Write{due.At(m.Wake, m.ref())}
	limitKey := table.Key{Part: waiting.part("MAILS", now.UTC().Format(time.DateOnly)), Sort: "#"}
	if s.limit > 0 && !m.Counted {
		m.Counted = true
		writes = append(writes, table.Add(limitKey, 1, 0, int64(s.limit)).Until(now.Add(48*time.Hour)))
	}
	if first {
		renewed, err := s.renewed(ctx, m)
		if err != nil {
			return message{}, err
		}
		writes = append(writes, renewed...)
	}
	if s.sender.Promise() == mail.Settles {
		writes = append(writes, settleWrite(s.links.messageID(m.name), m.name, now))
	}
	data := m.encode()
	v, err := s.table.Commit(ctx, append(writes, table.Replace(m.item, data))...)
	if table.Conflicts(err, limitKey) && !table.Conflicts(err, m.item.Key) {
		return message{}, s.putOff(ctx, waiting, now)
	}
	if err != nil {
		if table.Conflicts(err) {
			return message{}, err
		}
		return message{}, fmt.Errorf("claim a message: %w", err)
	}
	m.item = table.Item{Key: m.item.Key, Version: v, Data: data}
	return m, nil
}

// renewed is the write that gives the message's link the time that m says,
// none if it has that already.
func (s *Service) renewed(ctx context.Context, m message) ([]table.Write, error) {
	if m.Expires.Equal(m.stored().Expires) {
		return nil, nil
	}
	items, err := s.table.Get(ctx, s.links.key(m.name))
	if err != nil {
		return nil, fmt.Errorf("read a link: %w", err)
	}
	for _, it := range items {
		return []table.Write{table.Replace(it, m.linkData(m.Expires)).Until(m.Expires.Add(linkMemory))}, nil
	}
	return []table.Write{s.links.createLink(m.name, m.Expires)}, nil // the store removed it: it waited for more than a month
}

// putOff lets the message wait for the organization's next day, in which the
// waiting ones are spread over the first hour.
func (s *Service) putOff(ctx context.Context, m message, now time.Time) error {
	tomorrow := now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
	m.become(Queued, ReasonLimit, now)
	m.Wake = tomorrow.Add(time.Duration(identity.Spread(string(m.user), 3600)) * time.Second)
	m.Expires = m.stored().Expires
	_, err := s.table.Commit(ctx, table.Replace(m.item, m.encode()), due.At(m.Wake, m.ref()))
	if table.Conflicts(err) {
		return err
	}
	if err != nil {
		return fmt.Errorf("put a message off: %w", err)
	}
	s.tell(m)
	return nil
}

// attempt sends a claimed message and writes down what became of it.
func (s *Service) attempt(ctx context.Context, m message, letter mail.Message, now time.Time, sent *time.Duration) error {
	// The attempt ends before its lease does, so that the next one, which begins
	// after it, never meets it under way.
	sending, cancel := context.WithTimeout(ctx, min(s.lease*3/4, sendTime))
	begun := s.now()
	carrier, err := s.sender.Send(sending, letter)
	*sent = max(s.now().Sub(begun), 1)
	cancel()

	// A mail that went is marked even where the work was called off meanwhile.
	marking, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTime)
	defer cancel()
	if err == nil {
		return s.taken(marking, m.name, Sent, carrierID(carrier), "")
	}
	return s.failed(marking, m, err)
}

// taken moves a message up to a status that a carrier reports, whatever state
// its attempts are in: a mail that went is not sent again.
func (s *Service) taken(ctx context.Context, n name, to Status, carrier, reason string) error {
	for range maxRaces {
		m, ok, err := s.one(ctx, n)
		if err != nil || !ok || m.Status.progress() >= to.progress() {
			return err
		}
		m.become(to, reason, s.now())
		m.Carrier = either(carrier, m.Carrier)
		_, err = s.table.Commit(ctx, table.Replace(m.item, m.encode()))
		if table.Conflicts(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("mark a message as %s: %w", to, err)
		}
		s.tell(m)
		return nil
	}
	return raced()
}

// failed writes down why an attempt failed and what follows, unless the message
// has moved on: a carrier reported it, or the lease ran out and another attempt
// began.
func (s *Service) failed(ctx context.Context, m message, failure error) error {
	attempt := m.Attempts
	for range maxRaces {
		if m.Status != Sending || m.Attempts != attempt {
			return nil
		}
		writes := s.after(&m, failure)
		_, err := s.table.Commit(ctx, append(writes, table.Replace(m.item, m.encode()))...)
		if err == nil {
			s.tell(m)
			return nil
		}
		if !table.Conflicts(err) {
			return fmt.Errorf("write down a failed attempt: %w", err)
		}
		var ok bool
		if m, ok, err = s.one(ctx, m.name); err != nil || !ok {
			return err
		}
	}
	return raced()
}

// after moves the message to where a failed attempt leaves it and returns the
// due work that goes with it.
func (s *Service) after(m *message, failure error) []table.Write {
	now, reason, lease := s.now(), reasonOf(failure), m.Wake
	settled := errors.Is(failure, mail.ErrRefused) || errors.Is(failure, mail.ErrLater)
	switch {
	case errors.Is(failure, mail.ErrRefused):
		m.become(Refused, reason, now)
		return nil
	case !settled && s.sender.Promise() != mail.Once:
		// Left open: it may have gone. The lease goes on, and the carrier's
		// report, if there will be one, settles it.
		m.Reason, m.Wake = reason, lease
		return nil
	case m.Superseded:
		m.become(Cancelled, ReasonSuperseded, now)
		return nil
	case errors.Is(failure, mail.ErrBusy):
		// Not this message's failure, so it does not count as an attempt: after
		// a flood, or a day without the carrier, none shall have died.
		m.Attempts--
		m.Busy++
		m.become(Queued, reason, now)
		m.Wake = whole(now.Add(m.patience()))
		if errors.Is(failure, mail.ErrClosed) {
			m.Wake = whole(s.gate.close(m.name, now))
		}
		if errors.Is(failure, mail.ErrClosed) || m.Busy >= longBusy {
			s.gate.complain(s.log, reason, now)
		}
		return []table.Write{due.At(m.Wake, m.ref())}
	case m.Attempts >= MaxAttempts:
		m.become(Dead, reason, now)
		return nil
	}
	m.Busy = 0
	wait := backoff[m.Attempts-1]
	if !settled && m.Attempts == 1 {
		wait = 0 // the same mail however often: no reason to wait
	}
	m.become(Queued, reason, now)
	m.Wake = whole(now.Add(wait))
	return []table.Write{due.At(m.Wake, m.ref())}
}

// patience is how long a message waits for a carrier that takes none: from a
// minute, doubling up to half an hour. Those that wait are spread over as long
// again, so that a flood does not come back as a flood.
func (m message) patience() time.Duration {
	d := min(time.Minute<<min(m.Busy-1, 10), maxPatience)
	return d + time.Duration(identity.Spread(fmt.Sprint(m.user, m.Busy), int(d/time.Millisecond)))*time.Millisecond
}
