// Package identity is the vocabulary of ids, stages and names.
//
// An id says whose it is: the ids of users and groups begin with their
// connection, so a key follows from an id and a credential can build keys of
// its own connection only. Ids are minted here and never reused.
package identity

import (
	"crypto/rand"
	"time"
)

// alphabet is Crockford's base 32 in lower case: its byte order is its numeric
// order, and it has no letter that is taken for a digit.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

type (
	// Org names an organization: 12 characters.
	Org string
	// Connection names one configured way into an organization: 5 characters,
	// unique in its organization.
	Connection string
	// User names a user: 26 characters, 5 of the connection and 21 random.
	User string
	// Group names a group: 26 characters, like a user's.
	Group string
	// Credential names a connection's credential, not its secret: 10 characters.
	Credential string
	// Client names an OAuth client, which is no secret: 20 characters.
	Client string
	// Event names an event: 26 characters that sort by time of minting.
	Event string
	// Message names a mail in the outbox: 26 characters.
	Message string
)

// Manual is the connection of users made by hand, admins among them. No
// directory holds a credential for it.
const Manual Connection = "00000"

const (
	orgLen        = 12
	connectionLen = 5
	memberLen     = 26
	clientLen     = 20
	bucketLen     = 4
)

// MintOrg returns a new organization's id.
func MintOrg() Org { return Org(random(orgLen)) }

// MintConnection returns a new connection's id; the caller creates it under a
// condition, since 25 bits can meet again within one organization.
func MintConnection() Connection {
	for {
		if c := Connection(random(connectionLen)); c != Manual {
			return c
		}
	}
}

// MintUser returns a new user's id for the connection.
func MintUser(c Connection) User { return User(mint(c)) }

// MintGroup returns a new group's id for the connection.
func MintGroup(c Connection) Group { return Group(mint(c)) }

// MintCredential returns a new credential's id.
func MintCredential() Credential { return Credential(random(10)) }

// MintClient returns a new OAuth client's id: 100 random bits, since it is looked
// up before an organization is known.
func MintClient() Client { return Client(random(clientLen)) }

// mint joins the connection, four hexadecimal digits that spread and count
// (see roster's counters), and 17 characters more: 101 random bits.
func mint(c Connection) string {
	r := []byte(random(memberLen - connectionLen))
	for i := range bucketLen {
		r[i] = alphabet[indexOf(r[i])&15]
	}
	return string(c) + string(r)
}

// MintEvent returns an event id for now that sorts after every id given, so
// that the events of one subject keep the order in which they were decided
// even when clocks disagree. Empty ids are passed over.
func MintEvent(now time.Time, after ...Event) Event {
	ms := now.UnixMilli()
	for _, a := range after {
		if t, ok := stampTime(string(a)); ok && t >= ms {
			ms = t + 1
		}
	}
	return Event(stamp(ms) + random(memberLen-stampLen))
}

// Time returns the millisecond at which the event was minted.
func (e Event) Time() time.Time {
	ms, _ := stampTime(string(e))
	return time.UnixMilli(ms).UTC()
}

const stampLen = 10 // 50 bits of milliseconds since 1970: good until the year 37648

func stamp(ms int64) string {
	var b [stampLen]byte
	for i := stampLen - 1; i >= 0; i-- {
		b[i] = alphabet[ms&31]
		ms >>= 5
	}
	return string(b[:])
}

func stampTime(s string) (int64, bool) {
	if len(s) < stampLen {
		return 0, false
	}
	var ms int64
	for i := range stampLen {
		v := indexOf(s[i])
		if v < 0 {
			return 0, false
		}
		ms = ms<<5 | int64(v)
	}
	return ms, true
}

// Stamp returns 10 characters that sort as the milliseconds of t do; a commit's
// version begins with them.
func Stamp(t time.Time) string { return stamp(t.UnixMilli()) }

// StampTime reads the first 10 characters of s back; false if they are no stamp.
func StampTime(s string) (time.Time, bool) {
	ms, ok := stampTime(s)
	return time.UnixMilli(ms).UTC(), ok
}

// ParseOrg returns s as an organization's id, false if it has not the form of one.
func ParseOrg(s string) (Org, bool) { return Org(s), len(s) == orgLen && wellFormed(s) }

// ParseConnection returns s as a connection's id, false if it has not the form of one.
func ParseConnection(s string) (Connection, bool) {
	return Connection(s), len(s) == connectionLen && wellFormed(s)
}

// ParseUser returns s as a user's id, false if no user can have it.
func ParseUser(s string) (User, bool) { return User(s), memberForm(s) }

// ParseGroup returns s as a group's id, false if no group can have it.
func ParseGroup(s string) (Group, bool) { return Group(s), memberForm(s) }

// ParseCredential returns s as a credential's id, false if it has not the form of one.
func ParseCredential(s string) (Credential, bool) {
	return Credential(s), len(s) == 10 && wellFormed(s)
}

// ParseClient returns s as an OAuth client's id, false if it has not the form of one.
func ParseClient(s string) (Client, bool) {
	return Client(s), len(s) == clientLen && wellFormed(s)
}

// Connection returns the connection that brought the user.
func (u User) Connection() Connection { return Connection(u[:connectionLen]) }

// Connection returns the connection that brought the group.
func (g Group) Connection() Connection { return Connection(g[:connectionLen]) }

// Bucket returns the four hexadecimal digits by which users are spread over
// partitions and counted.
func (u User) Bucket() string { return string(u[connectionLen : connectionLen+bucketLen]) }

// Bucket is the group's, as a user's.
func (g Group) Bucket() string { return string(g[connectionLen : connectionLen+bucketLen]) }

func memberForm(s string) bool {
	if len(s) != memberLen || !wellFormed(s) {
		return false
	}
	for i := connectionLen; i < connectionLen+bucketLen; i++ {
		if indexOf(s[i]) > 15 {
			return false
		}
	}
	return true
}

func wellFormed(s string) bool {
	for i := range len(s) {
		if indexOf(s[i]) < 0 {
			return false
		}
	}
	return true
}

func indexOf(c byte) int {
	for i := range len(alphabet) {
		if alphabet[i] == c {
			return i
		}
	}
	return -1
}

// Random returns n random characters of the ids' alphabet, 5 bits each.
func Random(n int) string { return random(n) }

func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails since Go 1.24
	for i := range b {
		b[i] = alphabet[b[i]&31]
	}
	return string(b)
}

// Encode writes b in the ids' alphabet, 5 bits a character, the last padded
// with zero bits: 16 bytes give 26 characters.
func Encode(b []byte) string {
	out := make([]byte, 0, (len(b)*8+4)/5)
	var acc uint64
	bits := 0
	for _, c := range b {
		acc = acc<<8 | uint64(c)
		for bits += 8; bits >= 5; bits -= 5 {
			out = append(out, alphabet[acc>>(bits-5)&31])
		}
	}
	if bits > 0 {
		out = append(out, alphabet[acc<<(5-bits)&31])
	}
	return string(out)
}

// Spread returns a number below n that depends on s alone, evenly.
func Spread(s string, n int) int {
	h := uint64(14695981039346656037) // FNV-1a: even and cheap; not a secret's hash
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return int((h ^ h>>32) % uint64(n))
}

// Succ returns what follows s among the strings of its length in the ids'
// alphabet, false if s is the last.
func Succ(s string) (string, bool) {
	b := []byte(s)
	for i := len(b) - 1; i >= 0; i-- {
		if next := indexOf(b[i]) + 1; next < len(alphabet) {
			b[i] = alphabet[next]
			return string(b), true
		}
		b[i] = alphabet[0]
	}
	return "", false
}
