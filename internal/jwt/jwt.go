// Package jwt reads JSON Web Tokens that others signed (RFC 7519, in the compact
// form of RFC 7515), and the sets of public keys that verify them (RFC 7517).
//
// It knows three algorithms, all with public keys, and no others: there is no
// "none", and no key of a set is ever the secret of an HMAC. It signs nothing,
// decrypts nothing, and judges no claim: what a token says is true only once
// Verify has said so, and good for something only if its reader wants it.
package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
)

// Algorithms are those that Verify takes (RFC 7518 §3.1), in the words of
// metadata documents.
var Algorithms = []string{"RS256", "PS256", "ES256"}

// MaxToken is how long a token may be, in bytes.
const MaxToken = 16 << 10

// Errors of Parse and Verify.
var (
	ErrForm      = errors.New("the token is malformed")
	ErrAlgorithm = errors.New("the token's algorithm is none that is taken")
	ErrNoKey     = errors.New("no key of the set is the token's")
	ErrSignature = errors.New("the token's signature is wrong")
)

// Token is a token as it was read. Nothing in it is known to be true.
type Token struct {
	Algorithm string
	KeyID     string // empty: not said
	Claims    Claims

	signed    string // what the signature covers, as it came
	signature []byte
}

// Claims are the registered ones (RFC 7519 §4.1) that are read. Times that are
// not said are zero.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string
	ID        string
	Expires   time.Time
	NotBefore time.Time
	Issued    time.Time
}

// Signed is what the signature covers: two tokens that differ in the spelling of
// their signatures alone have it in common.
func (t Token) Signed() string { return t.signed }

// Parse reads a token and believes nothing of it.
func Parse(s string) (Token, error) {
	if len(s) > MaxToken {
		return Token{}, fmt.Errorf("%w: it has more than %d bytes", ErrForm, MaxToken)
	}
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return Token{}, fmt.Errorf("%w: it has not three parts", ErrForm)
	}
	var t Token
	header, err := object(parts[0])
	if err != nil {
		return Token{}, fmt.Errorf("%w: header: %v", ErrForm, err)
	}
	claims, err := object(parts[1])
	if err != nil {
		return Token{}, fmt.Errorf("%w: claims: %v", ErrForm, err)
	}
	if t.signature, err = decode(parts[2]); err != nil {
		return Token{}, fmt.Errorf("%w: signature: %v", ErrForm, err)
	}
	// What an extension says must be heeded (RFC 7515 §4.1.11), and none is known.
	if _, critical := header["crit"]; critical {
		return Token{}, fmt.Errorf("%w: it names critical extensions", ErrForm)
	}
	r := reader{of: header}
	r.text("alg", &t.Algorithm)
	r.text("kid", &t.KeyID)
	r.of = claims
	r.text("iss", &t.Claims.Issuer)
	r.text("sub", &t.Claims.Subject)
	r.text("jti", &t.Claims.ID)
	r.texts("aud", &t.Claims.Audience)
	r.time("exp", &t.Claims.Expires)
	r.time("nbf", &t.Claims.NotBefore)
	r.time("iat", &t.Claims.Issued)
	if r.err != nil {
		return Token{}, r.err
	}
	t.signed = parts[0] + "." + parts[1]
	return t, nil
}

// decode reads base64url without padding. The library's decoder passes over line
// breaks, and one token must not have several spellings.
func decode(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("it has line breaks")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, errors.New("it is no base64url")
	}
	return b, nil
}

// object reads a JSON object by the exact names of its members, where a struct's
// would be found in any case.
func object(s string) (map[string]json.RawMessage, error) {
	b, err := decode(s)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil || m == nil {
		return nil, errors.New("it is no JSON object")
	}
	return m, nil
}

// reader takes members of an object, and keeps the first error.
type reader struct {
	of  map[string]json.RawMessage
	err error
}

func (r *reader) take(name string, into any) bool {
	raw, ok := r.of[name]
	if !ok || r.err != nil {
		return false
	}
	if string(raw) == "null" || json.Unmarshal(raw, into) != nil {
		r.err = fmt.Errorf("%w: %s has not the right type", ErrForm, name)
		return false
	}
	return true
}

func (r *reader) text(name string, into *string) { r.take(name, into) }

// texts takes one string, or a list of them (RFC 7519 §4.1.3).
func (r *reader) texts(name string, into *[]string) {
	if raw := r.of[name]; len(raw) > 0 && raw[0] == '"' {
		var one string
		if r.take(name, &one) {
			*into = []string{one}
		}
		return
	}
	r.take(name, into)
}

// time takes seconds since 1970, which may have a fraction (RFC 7519 §2).
func (r *reader) time(name string, into *time.Time) {
	var n float64
	if !r.take(name, &n) {
		return
	}
	if n < 0 || n > 1<<38 { // the year 10680
		r.err = fmt.Errorf("%w: %s is no time", ErrForm, name)
		return
	}
	whole, fraction := math.Modf(n)
	*into = time.Unix(int64(whole), int64(fraction*1e9)).UTC()
}

// Verify returns nil if a key of the set signed the token. A token that names no
// key is tried with each that fits.
func (t Token) Verify(keys Set) error {
	family, ok := families[t.Algorithm]
	if !ok {
		return ErrAlgorithm
	}
	digest := sha256.Sum256([]byte(t.signed))
	tried := false
	for _, k := range keys.keys {
		if t.KeyID != "" && k.id != t.KeyID || k.algorithm != "" && k.algorithm != t.Algorithm || k.family() != family {
			continue
		}
		tried = true
		if k.signed(t.Algorithm, digest[:], t.signature) {
			return nil
		}
	}
	if !tried {
		return ErrNoKey
	}
	return ErrSignature
}

// families are the kinds of keys that algorithms want: the token chooses among
// the algorithms that its key is for, never the kind of key.
var families = map[string]string{"RS256": "RSA", "PS256": "RSA", "ES256": "P-256"}

func (k key) signed(algorithm string, digest, signature []byte) bool {
	switch algorithm {
	case "RS256":
		return k.rsa != nil && rsa.VerifyPKCS1v15(k.rsa, crypto.SHA256, digest, signature) == nil
	case "PS256": // RFC 7518 §3.5: a salt as long as the hash
		return k.rsa != nil && rsa.VerifyPSS(k.rsa, crypto.SHA256, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case "ES256": // RFC 7518 §3.4: two numbers of 32 bytes
		if k.ec == nil || len(signature) != 64 {
			return false
		}
		return ecdsa.Verify(k.ec, digest, new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	return false
}
