package lambda

import (
	"slices"
	"testing"
)

// BenchmarkWarm is what an invocation of a waiting environment costs, and
// BenchmarkCold what the start of one does.
func BenchmarkWarm(b *testing.B) {
	for name, noFreeze := range map[string]bool{"frozen": false, "running": true} {
		b.Run(name, func(b *testing.B) {
			h := newHost(b, Options{NoFreeze: noFreeze}, nil)
			for b.Loop() {
				if _, err := h.Invoke(b.Context(), "hello", []byte(`{}`)); err != nil {
					b.Fatal(err)
				}
			}
			warm := h.Timings("hello").Warm
			slices.Sort(warm)
			if len(warm) > 0 {
				b.ReportMetric(float64(warm[len(warm)/2].Microseconds()), "median-µs")
			}
		})
	}
}

func BenchmarkCold(b *testing.B) {
	h := newHost(b, Options{}, nil)
	for b.Loop() {
		if _, err := h.Invoke(b.Context(), "hello", []byte(`{}`)); err != nil {
			b.Fatal(err)
		}
		h.Kill("hello")
	}
}
