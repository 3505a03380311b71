package account

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gatehouse/internal/fault"
	"gatehouse/internal/secret"
)

func TestHash(t *testing.T) {
	h := newHasher(secret.Mint(), 2, current)
	ctx := t.Context()
	stored, err := h.hash(ctx, "pâte à choux et crème")
	if err != nil {
		t.Fatal(err)
	}
	if want := "$argon2id$v=19$m=19456,t=2,p=1$"; !strings.HasPrefix(stored, want) {
		t.Errorf("hash = %q, want it to begin with %q", stored, want)
	}
	if again, _ := h.hash(ctx, "pâte à choux et crème"); again == stored {
		t.Error("the same password hashed twice gives the same hash: there is no salt")
	}
	for _, c := range []struct {
		password string
		want     bool
	}{
		{"pâte à choux et crème", true},
		{"pa\u0302te a\u0300 choux et cre\u0300me", true}, // decomposed, as some keyboards type it
		{"pâte\u00a0à\u2003choux et crème", true},         // other spaces
		{"Pâte à choux et crème", false}, {"", false}, {"pâte", false},
	} {
		if ok, again, err := h.verify(ctx, stored, c.password); ok != c.want || again || err != nil {
			t.Errorf("verify(%q) = %v, %v, %v; want %v, false, nil", c.password, ok, again, err, c.want)
		}
	}
	if ok, _, _ := newHasher(secret.Mint(), 1, current).verify(ctx, stored, "pâte à choux et crème"); ok {
		t.Error("a hash verifies under another server's key: the store alone is enough to guess at")
	}
	if ok, _, err := h.verify(ctx, "", ""); ok || err != nil {
		t.Errorf("verify against nothing = %v, %v; want false, nil", ok, err)
	}
}

func TestVerifyAsksForRehash(t *testing.T) {
	h := newHasher(secret.Mint(), 1, current)
	old := params{memory: 64, time: 1, threads: 1}
	salt := []byte("sixteen bytes ok")
	stored := phc(old, salt, h.sum(old, "a password of old", salt, hashLen))
	if ok, again, err := h.verify(t.Context(), stored, "a password of old"); !ok || !again || err != nil {
		t.Errorf("verify = %v, %v, %v; want true, true, nil", ok, again, err)
	}
	if ok, again, _ := h.verify(t.Context(), stored, "another password"); ok || again {
		t.Errorf("verify of a wrong password = %v, %v; want false, false", ok, again)
	}
}

func TestParsePHCRefusesDamage(t *testing.T) {
	for _, s := range []string{
		"", "$", "plain", "$argon2i$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=18$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=99999999,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA", // 95 GiB
		"$argon2id$v=19$m=19456,t=999,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=19456,t=2,p=0$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=19456,t=2$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$!!!!",
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$",
		"$argon2id$v=19$m=19456,t=2,p=1$$aGFzaGhhc2hoYXNoaGFzaA",
	} {
		if _, _, _, err := parsePHC(s); err == nil {
			t.Errorf("parsePHC(%q) = nil, want an error", s)
		}
	}
}

// A flood waits, then is turned away; it never hashes more at once than was
// allowed.
func TestHashesAtOnce(t *testing.T) {
	h := newHasher(secret.Mint(), 1, current)
	leave, err := h.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	for range waiting {
		go func() {
			_, err := h.enter(ctx)
			gone <- err
		}()
	}
	for len(h.queue) < cap(h.queue) {
		select {
		case err := <-gone:
			t.Fatalf("a waiting call came back with %v while the slot was taken", err)
		default:
		}
	}
	if _, err := h.hash(t.Context(), "one too many"); !fault.Is(err, fault.Unavailable) || fault.Of(err).Retry == 0 {
		t.Errorf("hash with a full queue = %v, want Unavailable with a time to come back", err)
	}
	cancel()
	for range waiting {
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("a call whose reader left = %v, want canceled", err)
		}
	}
	leave()
	if len(h.queue) != 0 || len(h.slots) != 0 {
		t.Errorf("after everybody left %d wait and %d hash, want none", len(h.queue), len(h.slots))
	}
	if _, err := h.hash(t.Context(), "there is room again"); err != nil {
		t.Errorf("hash = %v, want nil", err)
	}
}

func BenchmarkHash(b *testing.B) {
	h := newHasher(secret.Mint(), 2, current)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.hash(b.Context(), "korrekt pferd batterie klammer"); err != nil {
			b.Fatal(err)
		}
	}
}
