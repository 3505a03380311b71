package pattern

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, event string
		want           bool
	}{
		{`{"source":["aws.ses"]}`, `{"source":"aws.ses","detail":{}}`, true},
		{`{"source":["aws.ses"]}`, `{"source":"aws.s3"}`, false},
		{`{"source":["aws.ses"]}`, `{"other":"aws.ses"}`, false},
		{`{"source":["a","aws.ses"]}`, `{"source":"aws.ses"}`, true},
		{`{"a":["x"],"b":["y"]}`, `{"a":"x","b":"z"}`, false},
		{`{"a":["x"],"b":["y"]}`, `{"a":"x","b":"y"}`, true},
		{`{"detail":{"mail":{"tags":{"ses:configuration-set":["ours"]}}}}`, `{"detail":{"mail":{"tags":{"ses:configuration-set":["ours"]}}}}`, true},
		{`{"detail":{"mail":{"tags":{"ses:configuration-set":["ours"]}}}}`, `{"detail":{"mail":{"tags":{"ses:configuration-set":["theirs","others"]}}}}`, false},
		{`{"detail":{"mail":{"to":["b"]}}}`, `{"detail":{"mail":{"to":["a","b"]}}}`, true},
		{`{"list":{"k":["v"]}}`, `{"list":[{"k":"w"},{"k":"v"}]}`, true},
		{`{"eventName":["INSERT"],"dynamodb":{"NewImage":{"f":{"S":["feed"]}}}}`, `{"eventName":"INSERT","dynamodb":{"NewImage":{"f":{"S":"feed"}}}}`, true},
		{`{"eventName":["INSERT"],"dynamodb":{"NewImage":{"f":{"S":["feed"]}}}}`, `{"eventName":"REMOVE","dynamodb":{"Keys":{}}}`, false},
		{`{"eventName":["INSERT"],"dynamodb":{"NewImage":{"f":{"S":["feed"]}}}}`, `{"eventName":"INSERT","dynamodb":{"NewImage":{"f":{"S":"feed welcome"}}}}`, false},
		{`{"n":[1]}`, `{"n":1.0}`, true},
		{`{"n":[1]}`, `{"n":"1"}`, false},
		{`{"n":[null]}`, `{"n":null}`, true},
		{`{"n":[null]}`, `{}`, false},
		{`{"n":[true]}`, `{"n":true}`, true},
		{`{"s":[{"prefix":"Email"}]}`, `{"s":"Email Sent"}`, true},
		{`{"s":[{"prefix":"Email"}]}`, `{"s":"An Email"}`, false},
		{`{"s":[{"prefix":"Email"}]}`, `{"s":3}`, false},
		{`{"s":[{"suffix":"Sent"}]}`, `{"s":"Email Sent"}`, true},
		{`{"s":[{"equals-ignore-case":"email sent"}]}`, `{"s":"Email Sent"}`, true},
		{`{"s":[{"exists":true}]}`, `{"s":""}`, true},
		{`{"s":[{"exists":true}]}`, `{"t":""}`, false},
		{`{"s":[{"exists":true}]}`, `{"s":{"leaf":1}}`, false},
		{`{"s":[{"exists":false}]}`, `{"t":1}`, true},
		{`{"s":[{"exists":false}]}`, `{"s":1}`, false},
		{`{"a":{"b":[{"exists":false}]}}`, `{}`, true},
		{`{"s":[{"anything-but":"x"}]}`, `{"s":"y"}`, true},
		{`{"s":[{"anything-but":"x"}]}`, `{"s":"x"}`, false},
		{`{"s":[{"anything-but":"x"}]}`, `{}`, false},
		{`{"s":[{"anything-but":["x",1]}]}`, `{"s":1}`, false},
		{`{"s":[{"anything-but":{"prefix":"x"}}]}`, `{"s":"xy"}`, false},
		{`{"s":[{"anything-but":{"prefix":"x"}}]}`, `{"s":"yx"}`, true},
		{`{"s":["a"]}`, `no JSON`, false},
	}
	for _, tt := range tests {
		p, err := Parse([]byte(tt.pattern))
		if err != nil {
			t.Errorf("Parse(%s) = %v", tt.pattern, err)
			continue
		}
		if got := p.Match([]byte(tt.event)); got != tt.want {
			t.Errorf("Parse(%s).Match(%s) = %v, want %v", tt.pattern, tt.event, got, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]string{
		`{"n":[{"numeric":[">",1]}]}`:     `"numeric" is not known`,
		`{"a":{"$or":[{"b":["c"]}]}}`:     "a.$or: the operator is not known",
		`{"ip":[{"cidr":"10.0.0.0/8"}]}`:  `"cidr" is not known`,
		`{"s":[{"wildcard":"a*"}]}`:       `"wildcard" is not known`,
		`{"s":"x"}`:                       "neither an object nor a list",
		`{"s":[]}`:                        "lists nothing",
		`{"s":[["x"]]}`:                   "a list in a list",
		`{"s":[{"prefix":"a","x":1}]}`:    "one member",
		`{"s":[{"prefix":1}]}`:            "takes a string",
		`{"s":[{"exists":"yes"}]}`:        "true or false",
		`{"s":[{"anything-but":true}]}`:   "strings and numbers",
		`{"s":[{"anything-but":[]}]}`:     "lists nothing",
		`{"s":[{"anything-but":[null]}]}`: "strings and numbers",
		`{}`:                              "empty object",
		`[]`:                              "no object",
		`{"s":["x"]} {}`:                  "follows",
		`{`:                               "unexpected EOF",
	}
	for pattern, want := range tests {
		if _, err := Parse([]byte(pattern)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%s) = %v, want an error with %q", pattern, err, want)
		}
	}
}

// FuzzMatch makes of each event the pattern that lists its own values: it must
// match.
func FuzzMatch(f *testing.F) {
	f.Add([]byte(`{"source":"aws.ses","detail":{"to":["a","b"],"n":1.50,"none":null,"deep":[{"k":true}]}}`))
	f.Add([]byte(`{"a":{"b":[]},"c":[[1]],"d":{}}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		v, err := decode(event)
		object, ok := v.(map[string]any)
		if err != nil || !ok {
			return
		}
		own := of(object)
		if own == nil {
			return
		}
		raw, err := json.Marshal(own)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse(raw)
		if err != nil {
			t.Fatalf("Parse(%s) = %v", raw, err)
		}
		if !p.Match(event) {
			t.Fatalf("the event %s does not match %s", event, raw)
		}
	})
}

// of is the pattern of a value, nil if it has none.
func of(v any) any {
	switch v := v.(type) {
	case map[string]any:
		fields := map[string]any{}
		for name, field := range v {
			if p := of(field); p != nil && !strings.HasPrefix(name, "$") {
				fields[name] = p
			}
		}
		if len(fields) == 0 {
			return nil
		}
		return fields
	case []any:
		for _, e := range v {
			if p := of(e); p != nil {
				return p
			}
		}
		return nil
	}
	return []any{v}
}
