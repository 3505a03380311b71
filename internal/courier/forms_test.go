package courier

import (
	"strings"
	"testing"
)

// What carriers call messages goes to pages and logs: an id yes, nothing that
// could be a sentence.
func TestCarrierID(t *testing.T) {
	for s, want := range map[string]bool{
		"": false, "a": true, "0100018f-Zz_9.x@eu-west-1": true, strings.Repeat("a", 120): true, strings.Repeat("a", 121): false,
		"two words": false, "line\n": false, "é": false, "\xff": false, "a/b": false, "<a@b>": false,
	} {
		if got := carrierID(s) == s && s != ""; got != want {
			t.Errorf("carrierID(%q) = %q, want it kept: %v", s, carrierID(s), want)
		}
	}
}

func TestDecimal(t *testing.T) {
	for s, want := range map[string]bool{
		"2.0": true, "1234.5678": true, "12345.6": false, "1.23456": false, "1.": false, ".5": false, "1.2.3": false, "1": false, "a.b": false, "١.٢": false,
	} {
		if got := decimal(s); got != want {
			t.Errorf("decimal(%q) = %v, want %v", s, got, want)
		}
	}
}
