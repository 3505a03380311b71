package courier

import (
	"encoding/base64"
	"fmt"
	"testing"

	"gatehouse/internal/identity"
	"gatehouse/internal/secret"
)

// A link's secret has 256 bits, none of which is the same in every link, and
// depends on all that the link is for and on the server's key.
func TestSecretsOfLinks(t *testing.T) {
	l := Links{Key: secret.Mint()}
	var ones, zeros [secret.Size]byte
	seen := map[string]string{}
	for i := range 256 {
		n := name{org: "o1", user: identity.User(fmt.Sprintf("u%025d", i)), kind: Welcome, generation: 1}
		b, err := base64.RawURLEncoding.DecodeString(l.secret(n))
		if err != nil || len(b) != secret.Size {
			t.Fatalf("a link's secret is %q, want 256 bits as base64url", l.secret(n))
		}
		for at := range b {
			ones[at], zeros[at] = ones[at]|b[at], zeros[at]|^b[at]
		}
		other, org := n, n
		other.generation, org.org = 2, "o2"
		for what, s := range map[string]string{
			"the link": l.secret(n), "the next one": l.secret(other), "another organization's": l.secret(org),
			"another server's": Links{Key: secret.Mint()}.secret(n), "its message's id": string(l.messageID(n)),
		} {
			if was, ok := seen[s]; ok {
				t.Errorf("%s of user %d has the secret of %s", what, i, was)
			}
			seen[s] = fmt.Sprint(what, " of user ", i)
		}
	}
	for at := range ones {
		if ones[at] != 0xff || zeros[at] != 0xff {
			t.Errorf("byte %d of the secrets has bits that are always the same: %08b, %08b", at, ones[at], zeros[at])
		}
	}
}
