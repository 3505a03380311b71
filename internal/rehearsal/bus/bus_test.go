package bus

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/internal/rehearsal/pattern"
)

type unrun struct{}

func (unrun) Error() string { return "TooManyRequests" }
func (unrun) Ran() bool     { return false }

// taker is a function that fails as often as it is told.
type taker struct {
	mu    sync.Mutex
	start time.Time
	fails []error
	at    []time.Duration
	got   []string
}

func (k *taker) invoke(_ context.Context, event []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = append(k.at, time.Since(k.start).Round(time.Second))
	k.got = append(k.got, string(event))
	if len(k.fails) == 0 {
		return nil, nil
	}
	err := k.fails[0]
	k.fails = k.fails[1:]
	return nil, err
}

func TestRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{})
		defer b.Close()
		p, err := pattern.Parse([]byte(`{"source":["aws.ses"],"detail-type":[{"prefix":"Email "}]}`))
		if err != nil {
			t.Fatal(err)
		}
		k := &taker{start: time.Now()}
		b.Rule("mailevents", p, k.invoke)
		for event, want := range map[string]int{
			`{"source":"aws.ses","detail-type":"Email Sent"}`: 1,
			`{"source":"aws.s3","detail-type":"Email Sent"}`:  0,
			`{"source":"aws.ses","detail-type":"Advisor"}`:    0,
		} {
			if got := b.Put([]byte(event)); got != want {
				t.Errorf("Put(%s) = %d, want %d", event, got, want)
			}
		}
		synctest.Wait()
		if want := []string{`{"source":"aws.ses","detail-type":"Email Sent"}`}; !slices.Equal(k.got, want) {
			t.Errorf("the function was given %q, want %q", k.got, want)
		}
	})
}

func TestRetries(t *testing.T) {
	bad := errors.New("exit")
	tests := []struct {
		name  string
		waits []time.Duration
		fails []error
		at    []time.Duration
		lost  int
	}{
		{"no failure", nil, nil, []time.Duration{0}, 0},
		{"two failures", nil, []error{bad, bad}, []time.Duration{0, time.Minute, 3 * time.Minute}, 0},
		{"three failures", nil, []error{bad, bad, bad}, []time.Duration{0, time.Minute, 3 * time.Minute}, 1},
		{"shorter waits", []time.Duration{time.Second}, []error{bad, bad}, []time.Duration{0, time.Second}, 1},
		{"throttled", nil, []error{unrun{}, unrun{}, unrun{}, bad}, []time.Duration{0, 0, 0, 0, time.Minute}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(Options{Waits: tt.waits})
				defer b.Close()
				k := &taker{start: time.Now(), fails: tt.fails}
				b.Rule("mailevents", pattern.Pattern{}, k.invoke)
				b.Put([]byte(`{}`))
				if n := b.Pending(); n != 1 {
					t.Errorf("Pending() = %d, want 1", n)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if !slices.Equal(k.at, tt.at) || len(b.Lost()) != tt.lost || b.Pending() != 0 {
					t.Errorf("tried at %v, %d lost, %d pending; want %v, %d, 0", k.at, len(b.Lost()), b.Pending(), tt.at, tt.lost)
				}
			})
		})
	}
}

func TestSchedules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Options{Region: "us-east-1", Account: "123456789012"})
		k := &taker{start: time.Now()}
		b.Every("sweep", time.Minute, k.invoke)
		b.Tick()
		synctest.Wait()
		ended := make(chan struct{})
		go func() { b.Run(t.Context(), 60); close(ended) }()
		time.Sleep(3500 * time.Millisecond)
		b.Close()
		<-ended
		synctest.Wait()
		if want := []time.Duration{0, 1e9, 2e9, 3e9}; !slices.Equal(k.at, want) {
			t.Errorf("it came due at %v, want %v", k.at, want)
		}
		var e struct {
			Source string
			Type   string `json:"detail-type"`
			Time   time.Time
			Region string
			Detail map[string]any
		}
		if err := json.Unmarshal([]byte(k.got[0]), &e); err != nil || e.Source != "aws.events" || e.Type != "Scheduled Event" || e.Region != "us-east-1" || e.Detail == nil || e.Time.IsZero() {
			t.Errorf("the event is %s", k.got[0])
		}
		b.Tick()
		synctest.Wait()
		if len(k.at) != 4 {
			t.Error("a closed bus called the function")
		}
	})
}

func TestWhatWaitsOutlivesTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := New(Options{})
		k := &taker{start: time.Now(), fails: []error{errors.New("exit")}}
		first.Rule("mailevents", pattern.Pattern{}, k.invoke)
		first.Put([]byte(`{"id":"1"}`))
		synctest.Wait()
		undone := first.Close()
		second := New(Options{})
		second.Rule("mailevents", pattern.Pattern{}, k.invoke)
		second.Resume(undone)
		synctest.Wait()
		if want := []string{`{"id":"1"}`, `{"id":"1"}`}; !slices.Equal(k.got, want) {
			t.Errorf("the function was given %q, want %q", k.got, want)
		}
		if left := second.Close(); len(left) != 0 {
			t.Errorf("Close() = %v, want nothing", left)
		}
	})
}
