// Package secret derives every key that Gatehouse needs from the one that the
// operator keeps: the server's key.
//
// It stores nothing and reads nothing: the homes bring the key, from a file or
// from a parameter store.
package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Size is the length of a Key in bytes.
const Size = 32

// Key is a secret of 256 bits.
type Key [Size]byte

// Mint returns a new random key.
func Mint() Key {
	var k Key
	rand.Read(k[:]) // never fails since Go 1.24
	return k
}

// Parse reads a key as String writes it, white space around it ignored.
func Parse(s string) (Key, error) {
	b, err := hex.DecodeString(strings.TrimSpace(s))
	if err != nil || len(b) != Size {
		return Key{}, errors.New("a server key is 64 hexadecimal digits")
	}
	return Key(b), nil
}

// Reveal writes the key as 64 hexadecimal digits, for the one file that keeps
// it. Printing a Key does not show it.
func (k Key) Reveal() string { return hex.EncodeToString(k[:]) }

const hidden = "(secret)"

// String hides the key.
func (k Key) String() string { return hidden }

// Format hides the key from every verb of package fmt. It is not asked for an
// unexported field of a struct that is printed: keep a *Key there.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// LogValue hides the key from package slog.
func (k Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText refuses, so that no encoder writes the key unasked.
func (k Key) MarshalText() ([]byte, error) { return nil, errors.New("a key is not to be encoded") }

// MAC returns HMAC-SHA-256 under the key of a purpose and the parts, each
// preceded by its length, so that no two lists of parts give the same input.
func (k Key) MAC(purpose string, parts ...string) [32]byte {
	m := hmac.New(sha256.New, k[:])
	write := func(s string) {
		n := uint32(len(s))
		m.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		m.Write([]byte(s))
	}
	write(purpose)
	for _, p := range parts {
		write(p)
	}
	var out [32]byte
	m.Sum(out[:0])
	return out
}

// Derive returns the key for one purpose, so that a key leaked in one place is
// of no use in another.
func (k Key) Derive(purpose string, parts ...string) Key { return Key(k.MAC(purpose, parts...)) }

// Fingerprint tells keys apart without telling them: 16 hexadecimal digits.
func (k Key) Fingerprint() string {
	m := k.MAC("fingerprint")
	return hex.EncodeToString(m[:8])
}

// Token returns 256 random bits as 43 characters of base64url.
func Token() string {
	k := Mint()
	return base64.RawURLEncoding.EncodeToString(k[:])
}

// Hash returns the SHA-256 of a token as 64 hexadecimal digits: what is stored
// of it. A token has 256 random bits, so a fast hash does.
func Hash(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}
