package jwt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"math/big"
)

// Bounds of a set and of its RSA keys: a larger modulus would cost whoever
// verifies, a smaller one is no defence.
const (
	maxKeys = 100
	minRSA  = 2048 // bits
	maxRSA  = 8192
)

// Set is public keys that verify signatures.
type Set struct{ keys []key }

type key struct {
	id        string
	algorithm string // empty: any of the family
	rsa       *rsa.PublicKey
	ec        *ecdsa.PublicKey
}

func (k key) family() string {
	if k.rsa != nil {
		return "RSA"
	}
	return "P-256"
}

// Len returns how many keys the set has.
func (s Set) Len() int { return len(s.keys) }

// Has reports whether the set has a key of the name, or any where none is named.
func (s Set) Has(id string) bool {
	for _, k := range s.keys {
		if id == "" || k.id == id {
			return true
		}
	}
	return false
}

// ParseSet reads a JWK Set (RFC 7517 §5). Keys for other uses, of other kinds or
// too weak are passed over, as the RFC wants; a set without any key left is an
// error.
func ParseSet(b []byte) (Set, error) {
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return Set{}, errors.New("the key set is no JSON object with a list of keys")
	}
	if len(doc.Keys) > maxKeys {
		return Set{}, errors.New("the key set has more than 100 keys")
	}
	var s Set
	for _, raw := range doc.Keys {
		if k, ok := parseKey(raw); ok {
			s.keys = append(s.keys, k)
		}
	}
	if len(s.keys) == 0 {
		return Set{}, errors.New("the key set has no key for signatures that are taken")
	}
	return s, nil
}

func parseKey(raw []byte) (key, bool) {
	var j struct {
		Type       string   `json:"kty"`
		Use        string   `json:"use"`
		Operations []string `json:"key_ops"`
		Algorithm  string   `json:"alg"`
		ID         string   `json:"kid"`
		Modulus    string   `json:"n"`
		Exponent   string   `json:"e"`
		Curve      string   `json:"crv"`
		X          string   `json:"x"`
		Y          string   `json:"y"`
	}
	if json.Unmarshal(raw, &j) != nil || j.Use != "" && j.Use != "sig" {
		return key{}, false
	}
	if j.Operations != nil {
		verifies := false
		for _, op := range j.Operations {
			verifies = verifies || op == "verify"
		}
		if !verifies {
			return key{}, false
		}
	}
	k := key{id: j.ID, algorithm: j.Algorithm}
	var ok bool
	switch j.Type {
	case "RSA":
		k.rsa, ok = parseRSA(j.Modulus, j.Exponent)
	case "EC":
		if j.Curve == "P-256" {
			k.ec, ok = parseP256(j.X, j.Y)
		}
	}
	return k, ok
}

func parseRSA(modulus, exponent string) (*rsa.PublicKey, bool) {
	n, err := decode(modulus)
	if err != nil || len(n) > maxRSA/8+1 {
		return nil, false
	}
	e, err := decode(exponent)
	if err != nil || len(e) == 0 || len(e) > 4 {
		return nil, false
	}
	exp := 0
	for _, b := range e {
		exp = exp<<8 | int(b)
	}
	p := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: exp}
	if bits := p.N.BitLen(); bits < minRSA || bits > maxRSA || p.N.Bit(0) == 0 || exp < 3 || exp&1 == 0 || exp > 1<<31-1 {
		return nil, false
	}
	return p, true
}

func parseP256(x, y string) (*ecdsa.PublicKey, bool) {
	bx, err := decode(x)
	if err != nil || len(bx) != 32 {
		return nil, false
	}
	by, err := decode(y)
	if err != nil || len(by) != 32 {
		return nil, false
	}
	// Refuses what does not lie on the curve.
	p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, bx...), by...))
	return p, err == nil
}
