package load

import (
	"math/bits"
	"time"
)

// Histogram counts durations. Each of its buckets is at most a 32nd wide, so a
// quantile is told at most 3 % too high. The zero value is empty.
type Histogram struct {
	counts [64 * fine]int64
	n      int64
}

const fine = 32 // buckets to each power of two

func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 2*fine {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(2*fine-1)
	return shift*fine + int(v>>shift)
}

// upper returns the largest duration of the bucket.
func upper(i int) time.Duration {
	if i < 2*fine {
		return time.Duration(i)
	}
	shift := i/fine - 1
	return time.Duration((uint64(i-shift*fine)+1)<<shift - 1)
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucket(d)]++
	h.n++
}

// Merge adds what the other counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
}

// N returns how many durations it has counted.
func (h *Histogram) N() int64 { return h.n }

// Quantile returns the duration that the share q of all does not exceed, 0 if
// there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := min(max(int64(q*float64(h.n)), 0), h.n-1)
	for i, c := range h.counts {
		if rank -= c; rank < 0 {
			return upper(i)
		}
	}
	return 0
}
