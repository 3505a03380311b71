package table

import (
	"time"

	"gatehouse/internal/identity"
)

// Version names a commit: 20 characters that sort by the time of the commit.
// It stands in every item that the commit wrote, is part of ETags, and is the
// idempotency token of the commit on DynamoDB.
type Version string

// A version is 10 characters of time and 10 random ones. One that follows
// another within a millisecond counts on in the first 4 of them.
const (
	stampLen = 10
	countLen = 4
	tailLen  = 6
)

// MintVersion returns a version for now that sorts after all those given. It
// stays in the newest one's millisecond where that has not passed, so that an
// item written a thousand times a second does not run ahead of the clock.
func MintVersion(now time.Time, after ...Version) Version {
	var newest Version
	for _, a := range after {
		newest = max(newest, a)
	}
	last, ok := identity.StampTime(string(newest))
	if !ok || now.UnixMilli() > last.UnixMilli() {
		return stamped(now)
	}
	if count, ok := identity.Succ(string(newest[stampLen : stampLen+countLen])); ok {
		return newest[:stampLen] + Version(count+identity.Random(tailLen))
	}
	return stamped(last.Add(time.Millisecond))
}

func stamped(t time.Time) Version {
	return Version(identity.Stamp(t) + identity.Random(countLen+tailLen))
}

// Time returns the millisecond that the version was minted for.
func (v Version) Time() time.Time {
	t, _ := identity.StampTime(string(v))
	return t
}
