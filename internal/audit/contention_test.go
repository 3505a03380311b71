package audit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/audit"
	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/table"
	"gatehouse/internal/table/memory"
)

// meeting is a table on which commits meet as transactions do on DynamoDB: one
// holds its items for 15 to 30 ms, another one that wants one of them meanwhile
// is refused. It is tried again a few times, and is then Unavailable. Some
// commits end without an answer, written or not.
type meeting struct {
	table.Table
	tries int // of one Commit
	loses int // one Commit in so many has no answer; 0: none

	mu      sync.Mutex
	rng     *rand.Rand
	busy    map[table.Key]bool
	commits map[string]int
}

func (m *meeting) draw(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rng.IntN(n)
}

func (m *meeting) count(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits[what]++
}

// hold takes the keys if none of them is held.
func (m *meeting) hold(writes []table.Write) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		if m.busy[w.Key] {
			return false
		}
	}
	for _, w := range writes {
		m.busy[w.Key] = true
	}
	return true
}

func (m *meeting) release(writes []table.Write) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		delete(m.busy, w.Key)
	}
}

func (m *meeting) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	time.Sleep(time.Duration(3+m.draw(3)) * time.Millisecond)
	return m.Table.Get(ctx, keys...)
}

func (m *meeting) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	m.count("commits")
	for try := range m.tries {
		time.Sleep(time.Duration(2+m.draw(5)) * time.Millisecond)
		m.count("transactions")
		if !m.hold(writes) {
			time.Sleep(time.Duration(m.draw(20<<min(try, 5))) * time.Millisecond)
			continue
		}
		defer m.release(writes)
		time.Sleep(time.Duration(13+m.draw(15)) * time.Millisecond)
		fate := 9
		if m.loses > 0 {
			fate = m.draw(2 * m.loses)
		}
		if fate == 0 {
			m.count("lost")
			return "", errLost
		}
		v, err := m.Table.Commit(ctx, writes...)
		if err == nil {
			m.count("done")
		}
		if fate == 1 && err == nil {
			m.count("lost")
			return "", errLost
		}
		return v, err
	}
	m.count("given up")
	return "", &fault.Error{Kind: fault.Unavailable, Msg: "busy"}
}

// TestAppendersMeet: as many append to one log at once as a stream has lanes.
// None fails, whether the table keeps on trying by itself, gives up at once, or
// loses answers.
func TestAppendersMeet(t *testing.T) {
	const each, size = 6, 5
	for _, c := range []struct{ appenders, tries, loses int }{
		{8, 20, 0}, {16, 20, 0}, {40, 20, 0}, {16, 1, 0}, {40, 1, 0}, {16, 20, 8}, {16, 1, 8},
	} {
		t.Run(fmt.Sprintf("%d, %d tries, one in %d lost", c.appenders, c.tries, c.loses), func(t *testing.T) {
			mem := memory.New()
			o := newOrg(t, mem)
			all := events(t, mem, o, c.appenders*each*size)
			synctest.Test(t, func(t *testing.T) {
				m := &meeting{Table: mem, tries: c.tries, loses: c.loses, rng: rand.New(rand.NewPCG(1, 5)), busy: map[table.Key]bool{}, commits: map[string]int{}}
				begin := time.Now()
				var slowest time.Duration
				var wait sync.WaitGroup
				for g := range c.appenders {
					wait.Go(func() {
						for n := range each {
							from := (g*each + n) * size
							ctx, cancel := context.WithTimeout(t.Context(), 118*time.Second)
							start := time.Now()
							err := audit.LogOf(m, o).Append(ctx, all[from:from+size])
							cancel()
							if err != nil {
								t.Errorf("Append by one of %d = %v, want success", c.appenders, err)
							}
							m.mu.Lock()
							slowest = max(slowest, time.Since(start))
							m.mu.Unlock()
						}
					})
				}
				wait.Wait()
				n := float64(c.appenders * each)
				t.Logf("%d appenders: %.1f batches/s, slowest %v; for each batch %.1f commits, %.1f transactions; %v", c.appenders,
					n/time.Since(begin).Seconds(), slowest.Round(time.Millisecond), float64(m.commits["commits"])/n, float64(m.commits["transactions"])/n, m.commits)
			})
			whole(t, mem, o, all)
		})
	}
}

// failing fails every commit with its error, and writes before it does if it
// is told so.
type failing struct {
	table.Table
	err     error
	written bool
	deaf    bool // reads fail too
	commits int
}

func (f *failing) Get(ctx context.Context, keys ...table.Key) ([]table.Item, error) {
	if f.deaf {
		return nil, f.err
	}
	return f.Table.Get(ctx, keys...)
}

func (f *failing) Commit(ctx context.Context, writes ...table.Write) (table.Version, error) {
	f.commits++
	if f.written {
		if v, err := f.Table.Commit(ctx, writes...); err != nil {
			return v, err
		}
	}
	return "", f.err
}

// TestAppendThatFails holds how long Append goes on, and that a commit which was
// carried out is no failure, whatever it answered.
func TestAppendThatFails(t *testing.T) {
	unavailable, errDeaf := fault.New(fault.Unavailable, "", "busy"), errors.New("nothing is answered")
	for _, c := range []struct {
		name     string
		err      error
		written  bool
		deadline time.Duration // 0: none
		min, max time.Duration
		commits  int // at most
	}{
		{"busy until the context ends", unavailable, false, 20 * time.Second, 19 * time.Second, 21 * time.Second, 1000},
		{"busy, and no end", unavailable, false, 0, 30 * time.Second, 2 * time.Minute, 5000},
		{"no answer, ever", errLost, false, time.Minute, 0, 5 * time.Second, 5},
		{"no answer, not even to reads", errDeaf, false, time.Minute, 0, 5 * time.Second, 0},
		{"refused", fmt.Errorf("commit: %w", table.ErrRefused), false, time.Minute, 0, 0, 1},
		{"full", fmt.Errorf("commit: %w", table.ErrFull), false, time.Minute, 0, 0, 1},
		{"written without an answer", errLost, true, time.Minute, 0, 5 * time.Second, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := memory.New()
			o := newOrg(t, mem)
			all := []table.Item{stored(t, mem, o, audit.Event{ID: identity.MintEvent(now), Subject: "s", Kind: audit.UserChanged}, nil)}
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if c.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.deadline)
					defer cancel()
				}
				f := &failing{Table: mem, err: c.err, written: c.written, deaf: c.err == errDeaf}
				begin := time.Now()
				err := audit.LogOf(f, o).Append(ctx, all)
				if took := time.Since(begin); took < c.min || took > c.max || f.commits > c.commits {
					t.Errorf("Append took %v and %d commits, want %v to %v and at most %d", took, f.commits, c.min, c.max, c.commits)
				}
				if c.written && err != nil || !c.written && !errors.Is(err, c.err) {
					t.Errorf("Append = %v, want success: %t, or else the table's error", err, c.written)
				}
			})
		})
	}
}
