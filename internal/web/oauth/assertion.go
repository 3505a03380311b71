package oauth

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/jwt"
	"gatehouse/internal/org"
	"gatehouse/internal/table"
)

// What times an assertion may say.
const (
	skew = time.Minute // by which an issuer's clock and ours may differ
	// Entra ID's assertions are good for 65 to 95 minutes, told from five minutes
	// ago; nobody needs more than that.
	maxAssertion = 2 * time.Hour
)

// reuses is how often an assertion without a jti is taken. RFC 7523 leaves the
// jti to the issuer, and Entra ID says none: its workers keep an assertion for
// as long as it is good, and may present it for each token that they fetch. With
// a jti it is once.
const reuses = 20

// assert judges an assertion (RFC 7523 §3): it has to be the word of an issuer
// that this very client trusts, about the subject and for the audience agreed,
// in force now, and signed. The counter is of its uses.
func (x *exchange) assert(t jwt.Token) (org.Credential, *counter, error) {
	refuse := func(reason string) (org.Credential, *counter, error) {
		return org.Credential{}, nil, unknown(reason)
	}
	if !slices.Contains(jwt.Algorithms, t.Algorithm) {
		return refuse("algorithm")
	}
	trusts := x.a.Trusts()
	if len(trusts) == 0 {
		return refuse("trust")
	}
	// The newest first: a trust that corrects another is beside it for a while,
	// and whichever fits is taken.
	reason := ""
	var match []org.Credential
	for _, c := range trusts {
		if why := differs(*c.Trust, t.Claims); why == "" {
			match = append(match, c)
		} else if reason == "" {
			reason = why
		}
	}
	if len(match) == 0 {
		return refuse(reason)
	}
	if reason := untimely(t.Claims, x.h.Now()); reason != "" {
		return refuse(reason)
	}
	for _, c := range match {
		if keys, ok := x.h.rings.held(*c.Trust); ok && t.Verify(keys) == nil {
			return c, x.uses(t), nil
		}
	}
	reason = "key"
	var failed error // of what might have convinced
	verdicts := x.verifyAll(t, match)
	for range match {
		switch v := <-verdicts; {
		case v.err == nil:
			return v.of, x.uses(t), nil
		case errors.Is(v.err, jwt.ErrNoKey):
		case errors.Is(v.err, errSignature):
			reason = "signature"
		default:
			failed = v.err
		}
	}
	if failed != nil {
		return org.Credential{}, nil, failed
	}
	return refuse(reason)
}

// errSignature says that a signature is not by a trusted key.
var errSignature = errors.New("the signature does not fit")

// verdict is what one of the trusts says of a signature.
type verdict struct {
	of  org.Credential
	err error
}

// verifyAll checks the signature by each trust, and sends a verdict for each as
// it is found. Their issuers are asked side by side and have one time together:
// one that is slow takes none of another's, and a request waits no longer for
// five than for one. It need not wait for all: what is fetched is for those who
// come later, too, and goes on.
func (x *exchange) verifyAll(t jwt.Token, trusts []org.Credential) <-chan verdict {
	wait, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), ringWait)
	verdicts := make(chan verdict, len(trusts))
	var all sync.WaitGroup
	for _, c := range trusts {
		all.Go(func() {
			v := verdict{of: c}
			defer func() {
				if p := recover(); p != nil { // what it said may hold anything
					v.err = fmt.Errorf("panic with a %T\n%s", p, debug.Stack())
				}
				verdicts <- v
			}()
			v.err = x.verify(wait, t, *c.Trust)
		})
	}
	go func() {
		all.Wait()
		cancel()
	}()
	return verdicts
}

// verify checks the signature by the keys of the trust's issuer: jwt.ErrNoKey or
// errSignature where it is wrong, and where that cannot be told, since the issuer
// could not be asked for newer keys, a refusal that is none of the client's.
func (x *exchange) verify(wait context.Context, t jwt.Token, trust org.Trust) error {
	for _, again := range []bool{false, true} { // the issuer may have changed its keys
		keys, doubt, err := x.h.rings.keys(wait, trust, again)
		if err != nil {
			return err
		}
		switch err := t.Verify(keys); {
		case err == nil:
			return nil
		case again && doubt != nil && (errors.Is(err, jwt.ErrNoKey) || errors.Is(err, jwt.ErrSignature)):
			return doubt
		case again && errors.Is(err, jwt.ErrNoKey):
			return err
		case again || !errors.Is(err, jwt.ErrNoKey) && !errors.Is(err, jwt.ErrSignature):
			return errSignature
		}
	}
	return errSignature
}

// differs names the first claim that is not as the trust says.
func differs(t org.Trust, c jwt.Claims) string {
	switch {
	case c.Issuer != t.Issuer:
		return "issuer"
	case c.Subject != t.Subject:
		return "subject"
	}
	for _, a := range c.Audience {
		if slices.Contains(t.Audiences, a) {
			return ""
		}
	}
	return "audience"
}

// untimely names the time that is not as it should be at now.
func untimely(c jwt.Claims, now time.Time) string {
	switch {
	case c.Expires.IsZero():
		return "no-expiry" // RFC 7523 §3: it must have one
	case !now.Before(c.Expires.Add(skew)):
		return "expired"
	case c.Expires.After(now.Add(maxAssertion)):
		return "expires-late"
	case c.NotBefore.After(now.Add(skew)):
		return "not-before"
	case c.Issued.After(now.Add(skew)):
		return "issued-later"
	case !c.Issued.IsZero() && c.Expires.Sub(c.Issued) > maxAssertion:
		return "lifetime"
	}
	return ""
}

// uses counts how often the assertion was taken: by its jti, or by what is signed
// of it, which has one spelling.
func (x *exchange) uses(t jwt.Token) *counter {
	kind, what, limit := "jti", t.Claims.ID, int64(1)
	if what == "" {
		kind, what, limit = "assertion", t.Signed(), reuses
	}
	m := x.h.marks.MAC(kind, string(x.a.Client), t.Claims.Issuer, what)
	return &counter{key: table.Key{Part: "JTI#" + identity.Encode(m[:16]), Sort: "#"}, max: limit, end: t.Claims.Expires.Add(2 * skew)}
}
