package record_test

import (
	"bytes"
	"math"
	"testing"
	"time"

	"gatehouse/internal/table"
	"gatehouse/internal/table/record"
)

var (
	version = table.MintVersion(time.Now())
	key     = table.Key{Part: "part", Sort: "sort"}
	items   = map[string]table.Item{
		"bare":     {Key: key, Version: version},
		"data":     {Key: key, Version: version, Data: []byte("\x00data\xff")},
		"counter":  {Key: key, Version: version, N: math.MinInt64, Data: []byte("d")},
		"expiring": {Key: key, Version: version, Expires: time.Unix(-5, 0).UTC()},
		"whole":    {Key: key, Version: version, N: math.MaxInt64, Expires: time.Unix(1<<40, 0).UTC(), Data: bytes.Repeat([]byte("x"), 300)},
		"none":     {},
	}
)

func equal(a, b table.Item) bool {
	return a.Key == b.Key && a.Version == b.Version && a.N == b.N && bytes.Equal(a.Data, b.Data) && a.Expires.Equal(b.Expires)
}

func TestRoundTrip(t *testing.T) {
	for name, item := range items {
		b := record.AppendItem(nil, item)
		got, err := record.ParseItem(key, b)
		if err != nil || !equal(got, item) {
			t.Errorf("ParseItem(AppendItem(%s)) = %+v, %v, want %+v", name, got, err, item)
		}
		commit, change, err := record.ParseChange(record.AppendChange(nil, version, key, item))
		if err != nil || commit != version || change.Key != key || !equal(change.New, item) {
			t.Errorf("ParseChange(AppendChange(%s)) = %q, %+v, %v, want %q, %+v", name, commit, change, err, version, item)
		}
	}
}

func TestTruncated(t *testing.T) {
	item := items["whole"]
	b := record.AppendItem(nil, item)
	for n := range len(b) - len(item.Data) {
		if _, err := record.ParseItem(key, b[:n]); err == nil {
			t.Errorf("ParseItem of the first %d bytes of an item's head succeeds, want ErrMalformed", n)
		}
	}
}

// FuzzParse holds that whatever parses is what its form says: written again
// and read again it is the same.
func FuzzParse(f *testing.F) {
	for _, item := range items {
		f.Add(record.AppendItem(nil, item))
		f.Add(record.AppendChange(nil, version, key, item))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if item, err := record.ParseItem(key, b); err == nil {
			again, err := record.ParseItem(key, record.AppendItem(nil, item))
			if err != nil || !equal(again, item) {
				t.Errorf("ParseItem(%x) = %+v, written and read again %+v, %v", b, item, again, err)
			}
		}
		if commit, c, err := record.ParseChange(b); err == nil {
			v, again, err := record.ParseChange(record.AppendChange(nil, commit, c.Key, c.New))
			if err != nil || v != commit || again.Key != c.Key || !equal(again.New, c.New) {
				t.Errorf("ParseChange(%x) = %q, %+v, written and read again %q, %+v, %v", b, commit, c, v, again, err)
			}
		}
	})
}
