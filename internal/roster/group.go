package roster

import (
	"crypto/sha256"
	"encoding/base64"
	"time"

	"gatehouse/internal/identity"
	"gatehouse/internal/scim/value"
	"gatehouse/internal/table"
)

// Group is a group as stored. Its members are items of their own.
type Group struct {
	ID        identity.Group
	Raw       []byte // the SCIM attributes as one JSON object, without members
	Ext       uint8
	Changed   table.Version // the commit that last changed the group itself
	Created   time.Time
	LastEvent identity.Event
	Unique    bool           // its name is claimed for it alone
	Journal   identity.Event // the event of the change that is being carried out in the group; empty: none

	Count    int          // members; where the headers were read
	Headers  []table.Item // of those shards of members that exist, by shard
	Newer    bool         // of who changed it: others have changed it since
	Modified time.Time    // the later of the group's own change and its members'

	Item   table.Item
	doc    value.Value
	locked bool // a header is
}

// Encode returns the data of the group's item.
func (g Group) Encode() []byte {
	h := head(nil).text('e', string(g.LastEvent)).text('j', string(g.Journal)).flag('u', g.Unique).number('x', uint64(g.Ext))
	if g.Item.Exists() {
		h = h.number('c', millis(g.Created)) // absent: the time of the item's version
	}
	return h.with(g.Raw)
}

func decodeGroup(it table.Item) (Group, error) {
	h, raw, err := split(it)
	if err != nil {
		return Group{}, err
	}
	g := Group{ID: identity.Group(it.Sort), Raw: raw, Changed: it.Version, Item: it}
	for name, v := range h.fields() {
		switch name {
		case 'e':
			g.LastEvent = identity.Event(v)
		case 'j':
			g.Journal = identity.Event(v)
		case 'u':
			g.Unique = true
		case 'x':
			g.Ext = uint8(count(v))
		case 'c':
			g.Created = fromMillis(count(v))
		}
	}
	if g.Created.IsZero() {
		g.Created = it.Version.Time()
	}
	g.Modified = it.Version.Time()
	return g, nil
}

// Stored returns g as it is once the commit with the version has written data.
func (g Group) Stored(r Roster, v table.Version, data []byte) (Group, error) {
	return decodeGroup(table.Item{Key: r.GroupKey(g.ID), Version: v, Data: data})
}

// Doc returns the attributes as a tree, not to be modified.
func (g *Group) Doc() value.Value {
	if g.doc.Kind() == value.Absent && len(g.Raw) > 0 {
		g.doc, _ = value.Parse(g.Raw)
	}
	return g.doc
}

// SetDoc gives the group other attributes.
func (g *Group) SetDoc(doc value.Value, ext uint8) {
	g.doc, g.Raw, g.Ext = doc, doc.Append(nil), ext
}

// Name is the group's displayName.
func (g *Group) Name() string { return g.Doc().Get("displayName").Text() }

// addHeader counts one shard's header in.
func (g *Group) addHeader(it table.Item) {
	n, locked := Counted(it)
	g.Count += int(n)
	g.locked = g.locked || locked
	g.Headers = append(g.Headers, it)
	if t := it.Version.Time(); t.After(g.Modified) {
		g.Modified = t
	}
}

// Listing returns g with these headers of its members.
func (g Group) Listing(headers []table.Item) Group {
	g.Count, g.locked, g.Headers, g.Modified = 0, false, nil, g.Item.Version.Time()
	for _, it := range headers {
		g.addHeader(it)
	}
	return g
}

// Busy reports whether a change of many members was being carried out in the
// group when it was read: nothing else changes it until that is done.
func (g *Group) Busy() bool { return g.Journal != "" || g.locked }

// LeftBy reports whether the group is as the end of the journal with the event
// left it: that commit writes the group and all its headers.
func (g *Group) LeftBy(e identity.Event) bool {
	for _, it := range g.Headers {
		if it.Version != g.Item.Version {
			return false
		}
	}
	return g.LastEvent == e
}

// Tag names the state of the group and of its members: it changes with either.
func (g *Group) Tag() string {
	h := sha256.New()
	h.Write([]byte(g.Changed))
	for _, it := range g.Headers {
		h.Write([]byte(it.Version))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}
