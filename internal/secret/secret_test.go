package secret_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/internal/secret"
)

func key(b byte) secret.Key { return secret.Key(bytes.Repeat([]byte{b}, secret.Size)) }

func TestParse(t *testing.T) {
	k := secret.Mint()
	for _, s := range []string{k.Reveal(), " " + k.Reveal() + "\n", strings.ToUpper(k.Reveal())} {
		if got, err := secret.Parse(s); err != nil || got != k {
			t.Errorf("Parse of what Reveal wrote: %v", err)
		}
	}
	for _, s := range []string{"", "00", k.Reveal()[1:], k.Reveal() + "00", "x" + k.Reveal()[1:], k.String()} {
		_, err := secret.Parse(s)
		if err == nil {
			t.Errorf("Parse takes %d characters that are no key", len(s))
		} else if len(s) > 10 && strings.Contains(err.Error(), s[:10]) {
			t.Errorf("the error of Parse shows what it read: %v", err)
		}
	}
}

// The MAC of known answers keeps stored digests valid: it must never change.
func TestMACIsStable(t *testing.T) {
	for _, c := range []struct {
		parts []string
		want  string
	}{
		{nil, "bda6cf67cb9a712b7c10dd9845311902518b66611cfb0394b23d77fb500dff7e"},
		{[]string{"a", "bc"}, "08b0ead8f8eaefe3a3f09555fd88e409889c823e1526674c3909518291709117"},
	} {
		m := key(7).MAC("purpose", c.parts...)
		if got := hex.EncodeToString(m[:]); got != c.want {
			t.Errorf("MAC(%q, %q) = %s, want %s", "purpose", c.parts, got, c.want)
		}
	}
}

// No two lists of parts give the same input: "ab","c" is not "a","bc".
func TestMACFramesItsParts(t *testing.T) {
	part := rapid.StringOfN(rapid.SampledFrom([]rune("a\x00#")), 0, 3, -1)
	parts := rapid.SliceOfN(part, 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		same := strings.Join(a, "|") == strings.Join(b, "|") && len(a) == len(b)
		if (key(1).MAC(a[0], a[1:]...) == key(1).MAC(b[0], b[1:]...)) != same {
			t.Fatalf("MAC(%q) and MAC(%q): equal is %v, want %v", a, b, !same, same)
		}
	})
	if key(1).MAC("p") == key(2).MAC("p") {
		t.Error("two keys give one MAC")
	}
	if key(1).Derive("a") == key(1).Derive("b") || key(1).Derive("a") == key(1) {
		t.Error("two purposes have one key")
	}
}

// However a key is printed, alone or in a struct, it does not show.
func TestNothingPrintsAKey(t *testing.T) {
	k := secret.Mint()
	type holder struct {
		Name string
		Key  secret.Key
	}
	var out bytes.Buffer
	for _, v := range []any{k, &k, holder{"n", k}, &holder{"n", k}, []secret.Key{k}, map[string]secret.Key{"k": k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if b, err := json.Marshal(v); err == nil {
			t.Errorf("json.Marshal encodes a key, or what stands for one, in %T: %s", v, b)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", v)
	}
	for form, bad := range map[string]string{
		"hexadecimal": k.Reveal()[:8], "capital hexadecimal": strings.ToUpper(k.Reveal()[:8]), "bytes": string(k[:4]),
		"numbers": fmt.Sprint(k[:4])[1 : len(fmt.Sprint(k[:4]))-1],
		"JSON":    strings.ReplaceAll(fmt.Sprint(k[:4])[1:len(fmt.Sprint(k[:4]))-1], " ", ","),
		"Go":      strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", k[:4]), "[]byte{"), "}"),
		"octal":   fmt.Sprintf("%o %o", k[0], k[1]), "binary": fmt.Sprintf("%b %b", k[0], k[1]),
	} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("a key shows as %s", form)
		}
	}
}

func TestTokens(t *testing.T) {
	a, b := secret.Token(), secret.Token()
	if a == b || len(a) != 43 || strings.Trim(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("tokens of %d characters, equal: %v; want 43 of base64url each", len(a), a == b)
	}
	if got := secret.Hash("abc"); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("Hash(abc) = %s, want SHA-256 of FIPS 180-4, B.1", got)
	}
	if f := key(1).Fingerprint(); len(f) != 16 || f == key(2).Fingerprint() || strings.HasPrefix(key(1).Reveal(), f) {
		t.Errorf("the fingerprint %q does not tell keys apart, or tells the key", f)
	}
}
