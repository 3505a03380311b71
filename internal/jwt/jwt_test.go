package jwt_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/fakes/idp"
	"gatehouse/internal/jwt"
)

func set(t testing.TB, keys ...*idp.Key) jwt.Set {
	t.Helper()
	s, err := jwt.ParseSet(idp.Set(keys...))
	if err != nil {
		t.Fatalf("ParseSet: %v", err)
	}
	return s
}

func parse(t testing.TB, s string) jwt.Token {
	t.Helper()
	tok, err := jwt.Parse(s)
	if err != nil {
		t.Fatalf("Parse(%q): %v", s, err)
	}
	return tok
}

// The example of RFC 7515, appendix A.2 and A.3: signed by others.
func TestExamplesOfTheRFC(t *testing.T) {
	const payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
	for name, c := range map[string]struct{ token, keys string }{
		"RS256": {"eyJhbGciOiJSUzI1NiJ9." + payload + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
			`{"keys":[{"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}]}`},
		"ES256": {"eyJhbGciOiJFUzI1NiJ9." + payload + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
			`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`},
	} {
		s, err := jwt.ParseSet([]byte(c.keys))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tok := parse(t, c.token)
		if err := tok.Verify(s); err != nil {
			t.Errorf("Verify of the RFC's %s = %v", name, err)
		}
		if tok.Claims.Issuer != "joe" || !tok.Claims.Expires.Equal(time.Unix(1300819380, 0)) {
			t.Errorf("the claims of the RFC's %s are %+v", name, tok.Claims)
		}
	}
}

func TestVerify(t *testing.T) {
	claims := map[string]any{"iss": "i", "sub": "s"}
	others := idp.NewRSA(2048)
	for _, alg := range jwt.Algorithms {
		mine, other := idp.NewKey("mine", alg), idp.NewKey("other", alg)
		if alg != "ES256" {
			other.RSA = others
		}
		good := mine.Sign(claims, nil)
		parts := strings.Split(good, ".")
		second := strings.Split(mine.Sign(map[string]any{"iss": "i", "sub": "root"}, nil), ".")
		none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"mine"}`))
		for _, c := range []struct {
			name, token string
			keys        jwt.Set
			want        error
		}{
			{"good", good, set(t, mine), nil},
			{"good, among others", good, set(t, other, mine), nil},
			{"without a key's name", mine.Sign(claims, map[string]any{"kid": nil}), set(t, other, mine), nil},
			{"of an unknown key", good, set(t, other), jwt.ErrNoKey},
			{"of another key of the same name", other.Sign(claims, map[string]any{"kid": "mine"}), set(t, mine), jwt.ErrSignature},
			{"other claims under the signature", parts[0] + "." + second[1] + "." + parts[2], set(t, mine), jwt.ErrSignature},
			{"no signature", parts[0] + "." + parts[1] + ".", set(t, mine), jwt.ErrSignature},
			{"half a signature", parts[0] + "." + parts[1] + "." + parts[2][:40], set(t, mine), jwt.ErrSignature},
			{"zeros", parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), set(t, mine), jwt.ErrSignature},
			{"none", none + "." + parts[1] + ".", set(t, mine), jwt.ErrAlgorithm},
			{"none, in capitals", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"NONE"}`)) + "." + parts[1] + ".", set(t, mine), jwt.ErrAlgorithm},
			{"no algorithm", mine.Sign(claims, map[string]any{"alg": nil}), set(t, mine), jwt.ErrAlgorithm},
			{"one that is not taken", mine.Sign(claims, map[string]any{"alg": "RS512"}), set(t, mine), jwt.ErrAlgorithm},
			{"in lower case", mine.Sign(claims, map[string]any{"alg": strings.ToLower(alg)}), set(t, mine), jwt.ErrAlgorithm},
			{"the public key as a secret", idp.HMAC("mine", claims, idp.Set(mine)), set(t, mine), jwt.ErrAlgorithm},
		} {
			if err := parse(t, c.token).Verify(c.keys); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%s, %s: Verify = %v, want %v", alg, c.name, err, c.want)
			}
		}
	}
}

// A key that says what it is for is for nothing else, and a token of one family
// is not tried with a key of another.
func TestKeysAreForOneAlgorithm(t *testing.T) {
	rs, ps, es := idp.NewKey("k", "RS256"), idp.NewKey("k", "PS256"), idp.NewKey("k", "ES256")
	jwk := rs.JWK()
	jwk["alg"] = "RS256"
	doc, _ := json.Marshal(map[string]any{"keys": []any{jwk}})
	only, err := jwt.ParseSet(doc)
	if err != nil {
		t.Fatal(err)
	}
	if err := parse(t, rs.Sign(map[string]any{}, nil)).Verify(only); err != nil {
		t.Errorf("the key's own algorithm: %v", err)
	}
	if err := parse(t, ps.Sign(map[string]any{}, nil)).Verify(only); !errors.Is(err, jwt.ErrNoKey) {
		t.Errorf("another algorithm with the key: %v, want ErrNoKey", err)
	}
	if err := parse(t, rs.Sign(map[string]any{}, map[string]any{"alg": "ES256"})).Verify(set(t, rs)); !errors.Is(err, jwt.ErrNoKey) {
		t.Errorf("ES256 with an RSA key: %v, want ErrNoKey", err)
	}
	if err := parse(t, es.Sign(map[string]any{}, map[string]any{"alg": "RS256"})).Verify(set(t, es)); !errors.Is(err, jwt.ErrNoKey) {
		t.Errorf("RS256 with a key on a curve: %v, want ErrNoKey", err)
	}
}

func TestParse(t *testing.T) {
	k := idp.NewKey("k", "ES256")
	c := parse(t, k.Sign(map[string]any{"iss": "https://i", "sub": "s", "aud": []string{"a", "b"}, "jti": "j", "exp": 2.5, "nbf": 1, "iat": 1772175916, "other": map[string]any{}}, nil)).Claims
	if c.Issuer != "https://i" || c.Subject != "s" || c.ID != "j" || !slices.Equal(c.Audience, []string{"a", "b"}) ||
		c.Expires.UnixMilli() != 2500 || c.NotBefore.Unix() != 1 || c.Issued.Unix() != 1772175916 {
		t.Errorf("the claims are %+v", c)
	}
	if c := parse(t, k.Sign(map[string]any{"aud": "one"}, nil)).Claims; !slices.Equal(c.Audience, []string{"one"}) || !c.Expires.IsZero() {
		t.Errorf("the claims are %+v", c)
	}
	if c := parse(t, k.Sign(map[string]any{"ISS": "i", "Sub": "s"}, nil)).Claims; c.Issuer != "" || c.Subject != "" {
		t.Errorf("names of claims in another case are taken: %+v", c)
	}
}

func TestParseRefuses(t *testing.T) {
	k := idp.NewKey("k", "ES256")
	good := k.Sign(map[string]any{"iss": "i"}, nil)
	enc := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, s := range map[string]string{
		"empty": "", "one part": "x", "two": "a.b", "four": good + ".x", "a line break": good[:10] + "\n" + good[10:], "one at the end": good + "\n",
		"padding": good + "=", "standard base64": strings.Replace(good, ".", "+.", 1), "loose bits": enc("{}") + "." + enc("{}") + ".AB",
		"long":           strings.Repeat("x", jwt.MaxToken+1),
		"a list":         enc("[]") + "." + enc("{}") + ".AA",
		"null":           enc("null") + "." + enc("{}") + ".AA",
		"no JSON":        enc("{}") + "." + enc("{") + ".AA",
		"two values":     enc("{}") + "." + enc("{}{}") + ".AA",
		"critical":       k.Sign(map[string]any{}, map[string]any{"crit": []string{"exp"}}),
		"alg a number":   k.Sign(map[string]any{}, map[string]any{"alg": 1}),
		"iss a list":     k.Sign(map[string]any{"iss": []string{"i"}}, nil),
		"sub null":       k.Sign(map[string]any{"sub": json.RawMessage("null")}, nil),
		"aud a number":   k.Sign(map[string]any{"aud": 1}, nil),
		"aud with one":   k.Sign(map[string]any{"aud": []any{"a", 1}}, nil),
		"exp text":       k.Sign(map[string]any{"exp": "2030-01-01"}, nil),
		"exp negative":   k.Sign(map[string]any{"exp": -1}, nil),
		"exp for ever":   k.Sign(map[string]any{"exp": 1e300}, nil),
		"jti a number":   k.Sign(map[string]any{"jti": 7}, nil),
		"five, as a JWE": "a.b.c.d.e",
	} {
		if tok, err := jwt.Parse(s); !errors.Is(err, jwt.ErrForm) {
			t.Errorf("Parse of a token with %s = %+v, %v; want ErrForm", name, tok, err)
		}
	}
}

func TestParseSet(t *testing.T) {
	good := idp.NewKey("good", "RS256")
	with := func(edit func(j map[string]any)) map[string]any {
		j := good.JWK()
		edit(j)
		return j
	}
	set := func(name string, v any) map[string]any { return with(func(j map[string]any) { j[name] = v }) }
	curve := idp.NewKey("c", "ES256").JWK()
	onCurve := func(name string, v any) map[string]any {
		j := map[string]any{}
		for k, v := range curve {
			j[k] = v
		}
		j[name] = v
		return j
	}
	big4 := new(big.Int).Lsh(big.NewInt(1), 9000)
	for name, j := range map[string]any{
		"for encryption": set("use", "enc"), "for signing": set("key_ops", []string{"sign"}), "for nothing": set("key_ops", []string{}),
		"symmetric": map[string]any{"kty": "oct", "k": "AAAA"}, "no kind": set("kty", nil), "of 1024 bits": idpKey(idp.NewRSA(1024)),
		"of 9000 bits": set("n", idp.Encode(new(big.Int).Add(big4, big.NewInt(1)).Bytes())), "even": set("n", idp.Encode(new(big.Int).Sub(good.RSA.N, big.NewInt(1)).Bytes())),
		"exponent 1": set("e", "AQ"), "exponent 2": set("e", "Ag"), "no exponent": set("e", ""), "exponent of 5 bytes": set("e", "AQAAAAE"), "exponent below zero": set("e", "_____w"),
		"not base64": set("n", "!"), "on another curve": onCurve("crv", "P-384"), "beside the curve": onCurve("y", curve["x"]), "a short x": onCurve("x", "AAAA"), "infinity": onCurve("x", ""),
		"no object": 1, "a number as name": set("kid", 1),
	} {
		doc, _ := json.Marshal(map[string]any{"keys": []any{j}})
		if s, err := jwt.ParseSet(doc); err == nil {
			t.Errorf("a key that is %s is taken: %d keys", name, s.Len())
		}
		doc, _ = json.Marshal(map[string]any{"keys": []any{j, good.JWK()}})
		if s, err := jwt.ParseSet(doc); err != nil || s.Len() != 1 || !s.Has("good") {
			t.Errorf("a good key beside one that is %s: %d keys, %v", name, s.Len(), err)
		}
	}
	for _, doc := range []string{"", "[]", "{}", `{"keys":{}}`, `{"keys":[]}`, "<html>", `{"keys":[` + strings.Repeat("{},", 100) + "{}]}"} {
		if _, err := jwt.ParseSet([]byte(doc)); err == nil {
			t.Errorf("ParseSet(%.40q) is taken", doc)
		}
	}
}

func idpKey(k *rsa.PrivateKey) map[string]any {
	return (&idp.Key{ID: "weak", Algorithm: "RS256", RSA: k}).JWK()
}

// A token that parses says again what it was read from, and no change of what is
// signed survives Verify.
func FuzzParse(f *testing.F) {
	k := idp.NewKey("k", "ES256")
	keys := set(f, k)
	signed := map[string]bool{}
	for _, s := range []string{
		k.Sign(map[string]any{"iss": "i", "aud": "a", "exp": 1}, nil),
		k.Sign(map[string]any{"aud": []string{"a"}}, map[string]any{"kid": nil}),
	} {
		signed[s[:strings.LastIndexByte(s, '.')]] = true
		f.Add(s)
	}
	f.Add("e30.e30.AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := jwt.Parse(s)
		if err != nil {
			return
		}
		if !strings.HasPrefix(s, tok.Signed()+".") {
			t.Errorf("Parse(%q) covers %q", s, tok.Signed())
		}
		if tok.Verify(keys) == nil && !signed[tok.Signed()] {
			t.Errorf("a token that nobody signed is verified: %q", s)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	f.Add(idp.Set(idp.NewKey("r", "RS256"), idp.NewKey("e", "ES256")))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := jwt.ParseSet(b)
		if (err == nil) != (s.Len() > 0) || s.Len() > 100 {
			t.Errorf("ParseSet(%q) = %d keys, %v", b, s.Len(), err)
		}
	})
}
