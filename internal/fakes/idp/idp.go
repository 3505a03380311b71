// Package idp is an identity provider for tests: it signs client assertions
// (RFC 7523), and serves its public keys and its discovery document over TLS on
// loopback.
//
// It can do what a provider must not: sign with an algorithm of the test's
// choice, serve keys late, too large or somewhere else.
package idp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Key is a key pair of the provider.
type Key struct {
	ID        string
	Algorithm string // "RS256", "PS256" or "ES256"
	RSA       *rsa.PrivateKey
	EC        *ecdsa.PrivateKey
}

// pair is made once: RSA keys are costly.
var pair = sync.OnceValue(func() *rsa.PrivateKey { return NewRSA(2048) })

// NewRSA returns a new key of so many bits.
func NewRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return k
}

// NewKey returns a key for the algorithm. RSA keys are one and the same.
func NewKey(id, algorithm string) *Key {
	k := &Key{ID: id, Algorithm: algorithm}
	if algorithm == "ES256" {
		var err error
		if k.EC, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			panic(err)
		}
		return k
	}
	k.RSA = pair()
	return k
}

// Encode is base64url without padding.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// JWK returns the public half.
func (k *Key) JWK() map[string]any {
	j := map[string]any{"kid": k.ID, "use": "sig"}
	if k.EC != nil {
		raw, err := k.EC.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		j["kty"], j["crv"], j["x"], j["y"] = "EC", "P-256", Encode(raw[1:33]), Encode(raw[33:])
		return j
	}
	j["kty"], j["n"], j["e"] = "RSA", Encode(k.RSA.N.Bytes()), Encode(big.NewInt(int64(k.RSA.E)).Bytes())
	return j
}

// Sign returns a token of the claims under the key's own name and algorithm;
// members of header replace or, where nil, remove what stands there.
func (k *Key) Sign(claims, header map[string]any) string {
	h := map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "JWT"}
	for name, v := range header {
		h[name] = v
		if v == nil {
			delete(h, name)
		}
	}
	signed := encode(h) + "." + encode(claims)
	return signed + "." + Encode(k.signature([]byte(signed)))
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return Encode(b)
}

func (k *Key) signature(signed []byte) []byte {
	digest := sha256.Sum256(signed)
	var sig []byte
	var err error
	switch k.Algorithm {
	case "ES256":
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, k.EC, digest[:]); err == nil {
			sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case "PS256":
		sig, err = rsa.SignPSS(rand.Reader, k.RSA, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	default:
		sig, err = rsa.SignPKCS1v15(rand.Reader, k.RSA, crypto.SHA256, digest[:])
	}
	if err != nil {
		panic(err)
	}
	return sig
}

// HMAC returns a token "signed" with a secret: what a public key must never be
// taken for.
func HMAC(id string, claims map[string]any, secret []byte) string {
	signed := encode(map[string]any{"alg": "HS256", "kid": id}) + "." + encode(claims)
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(signed))
	return signed + "." + Encode(m.Sum(nil))
}

// Server is a provider that answers at /keys and at its discovery document.
type Server struct {
	URL     string         // its issuer
	Roots   *x509.CertPool // what vouches for its certificate
	Fetches atomic.Int32   // of the keys

	mu      sync.Mutex
	keys    []*Key
	instead http.HandlerFunc
}

// Start serves the keys until the test ends.
func Start(t testing.TB, keys ...*Key) *Server {
	t.Helper()
	s := &Server{keys: keys}
	h := httptest.NewTLSServer(s)
	t.Cleanup(h.Close)
	s.URL, s.Roots = h.URL, x509.NewCertPool()
	s.Roots.AddCert(h.Certificate())
	return s
}

// Rotate replaces the keys that are served.
func (s *Server) Rotate(keys ...*Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

// Instead answers for the keys from now on; nil: the keys again.
func (s *Server) Instead(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.instead = h
}

// KeysURL is where the keys are.
func (s *Server) KeysURL() string { return s.URL + "/keys" }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	keys, instead := s.keys, s.instead
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		issuer := s.URL + strings.TrimSuffix(r.URL.Path, "/.well-known/openid-configuration")
		json.NewEncoder(w).Encode(map[string]any{"issuer": issuer, "jwks_uri": s.KeysURL()})
	case r.URL.Path == "/keys":
		s.Fetches.Add(1)
		if instead != nil {
			instead(w, r)
			return
		}
		w.Write(Set(keys...))
	default:
		http.NotFound(w, r)
	}
}

// Set is the JWK Set of the keys.
func Set(keys ...*Key) []byte {
	jwks := []map[string]any{}
	for _, k := range keys {
		jwks = append(jwks, k.JWK())
	}
	b, err := json.Marshal(map[string]any{"keys": jwks})
	if err != nil {
		panic(err)
	}
	return b
}
