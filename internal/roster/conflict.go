package roster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/table"
)

// Conflict is a note for a person: a connection wanted a userName that a user
// of another directory goes by. It holds ids only.
type Conflict struct {
	Holder identity.User       `json:"holder"`
	Wanted identity.Connection `json:"wanted"` // the connection that was refused
	At     time.Time           `json:"at"`     // its latest attempt
}

// Encode returns the data of the conflict's item.
func (c Conflict) Encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and a time only
	}
	return b
}

// Conflicts returns the open conflicts whose holder still goes by the name, at
// most limit of them.
func (r Roster) Conflicts(ctx context.Context, limit int) ([]Conflict, error) {
	var out []Conflict
	for it, err := range r.table.Query(ctx, r.org.Part("CF"), table.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("list conflicts: %w", err)
		}
		var c Conflict
		if err := json.Unmarshal(it.Data, &c); err != nil {
			return nil, fmt.Errorf("read %v: %w", it.Key, err)
		}
		digest, _, _ := strings.Cut(it.Sort, "#")
		claim, err := r.claim(ctx, table.Key{Part: r.org.Part("UN", digest), Sort: self})
		if err != nil {
			return nil, err
		}
		// A conflict is over when the name was let go of, or the connection has it.
		if _, mine := claim.In(c.Wanted); len(claim.IDs) == 0 || mine || claim.IDs[0] != c.Holder {
			continue
		}
		if out = append(out, c); len(out) == limit {
			break
		}
	}
	return out, nil
}
