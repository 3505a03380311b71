package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"gatehouse/internal/fault"
	"gatehouse/internal/secret"
)

// params are argon2id's.
type params struct {
	memory  uint32 // KiB
	time    uint32
	threads uint8
}

// current is OWASP's second choice of equal strength: little memory, so that a
// Lambda function of 256 MB hashes several at once. A password hashed with
// others is hashed again when it is next typed.
var current = params{memory: 19 << 10, time: 2, threads: 1}

const (
	saltLen = 16
	hashLen = 32
)

// hasher hashes passwords, a bounded number at once.
type hasher struct {
	pepper secret.Key // without it a stolen store gives nothing to guess at
	slots  chan struct{}
	queue  chan struct{}
	params params        // of new hashes
	dummy  func() string // what the passwords of nobody are compared with
}

// waiting is how many wait for a slot, for each one that hashes: at 60 ms a hash
// nobody waits longer than a second.
const waiting = 16

func newHasher(pepper secret.Key, atOnce int, p params) *hasher {
	h := &hasher{pepper: pepper, params: p, slots: make(chan struct{}, atOnce), queue: make(chan struct{}, atOnce*(1+waiting))}
	h.dummy = sync.OnceValue(func() string {
		salt, sum := make([]byte, saltLen), make([]byte, hashLen)
		rand.Read(salt)
		rand.Read(sum)
		return phc(p, salt, sum)
	})
	return h
}

// enter waits for a slot and returns what gives it back. Unavailable when too
// many wait already.
func (h *hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.queue <- struct{}{}:
	default:
		return nil, &fault.Error{Kind: fault.Unavailable, Msg: "Too many people are signing in at once. Try again in a few seconds.", Retry: 2 * time.Second}
	}
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots; <-h.queue }, nil
	case <-ctx.Done():
		<-h.queue
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

func (h *hasher) sum(p params, password string, salt []byte, n int) []byte {
	m := h.pepper.MAC("password", normalize(password))
	return argon2.IDKey(m[:], salt, p.time, p.memory, p.threads, uint32(n))
}

// hash returns the PHC string of a new password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, saltLen)
	rand.Read(salt) // never fails since Go 1.24
	return phc(h.params, salt, h.sum(h.params, password, salt, hashLen)), nil
}

// verify reports whether the password is the stored one, and whether it is to
// be hashed again with today's parameters. With nothing stored it does the same
// work and says no.
func (h *hasher) verify(ctx context.Context, stored, password string) (ok, again bool, err error) {
	known := stored != ""
	if !known {
		stored = h.dummy()
	}
	p, salt, want, err := parsePHC(stored)
	if err != nil {
		return false, false, err
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return false, false, err
	}
	defer leave()
	got := h.sum(p, password, salt, len(want))
	ok = subtle.ConstantTimeCompare(got, want) == 1 && known
	return ok, ok && p != h.params, nil
}

var b64 = base64.RawStdEncoding

func phc(p params, salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.threads, b64.EncodeToString(salt), b64.EncodeToString(sum))
}

var errPHC = errors.New("read password: its hash is damaged")

// parsePHC reads what phc wrote, with bounds: a damaged item must not take all
// memory.
func parsePHC(s string) (params, []byte, []byte, error) {
	var p params
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, nil, nil, errPHC
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, nil, nil, errPHC
	}
	salt, err1 := b64.DecodeString(parts[4])
	sum, err2 := b64.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(sum) < 16 || len(sum) > 64 ||
		p.memory < 8 || p.memory > 256<<10 || p.time < 1 || p.time > 16 || p.threads < 1 || p.threads > 16 {
		return p, nil, nil, errPHC
	}
	return p, salt, sum, nil
}
