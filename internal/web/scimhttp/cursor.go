package scimhttp

import (
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"gatehouse/internal/fault"
	"gatehouse/internal/scim/schema"
)

// Lists are paged by index (RFC 7644 §3.4.2.4) or by cursor (RFC 9865). A
// cursor says behind which resource the next page begins, so nobody is skipped
// or met twice because others come and go, and a page far on costs what the
// first one does.
//
// A cursor is not stored. It is the place, as base64url, and a MAC over it and
// over what it was given for: the connection, the list, its filter and its
// order. It grants nothing: each page is asked for with a credential, and a
// cursor of another connection's, of another list, or that somebody bent is
// invalidCursor, one like the other. It holds an id of a resource that the
// client was just shown, times and numbers, and nothing of what a person is
// called: it stands in URLs, and so in the logs of proxies.
//
// A list in the order of ids needs little of it: paging tells how many are wanted
// and behind whom (from.part, from.after), next(page, behind(part, id)) gives the
// cursor that goes on behind the last one, and appendPage the answer.

// cursorTimeout is how long a cursor is good for.
const cursorTimeout = time.Hour

// paging is the page of a list that is asked for.
type paging struct {
	list  string // what a cursor of this list is bound to
	start int    // 1: the first; by index only
	count int    // resources at most
	asked int    // count as the client has it; -1: none

	cursor bool  // by cursor, from the place on
	from   place // the zero place: from the beginning
}

// place is where a page begins.
type place struct {
	part    int      // which of several lists that follow each other: resource types at the root, shards of members
	anchors []anchor // the last resources of the page before, the very last first; none: from the beginning of the part
	offset  int      // how many resources stand before; for lists whose order is not that of ids
}

// anchor is a resource that a page ended with. mark stands for the value that it
// was sorted by, so that one that has moved since is not taken for a landmark.
type anchor struct {
	id   string
	mark string
}

// after returns the id behind which the page begins, "" for the beginning.
func (p place) after() string {
	if len(p.anchors) == 0 {
		return ""
	}
	return p.anchors[0].id
}

// behind is the place after the resource with the id, in a list in the order of
// ids.
func behind(part int, id string) place { return place{part: part, anchors: []anchor{{id: id}}} }

// paging reads startIndex, count and cursor. list names what is listed: whatever
// makes another list of it, such as its filter, has to be in there.
//
// Errors are *fault.Error, Invalid with invalidValue, or with RFC 9865's codes
// where a cursor is asked for.
func (c *call) paging(list string, p parameters) (paging, error) {
	page := paging{list: list, start: 1, cursor: p.cursor != nil, asked: -1}
	wrong := fault.InvalidValue
	if page.cursor {
		wrong = fault.InvalidCount
	}
	count, err := number("count", p.count, usualPage)
	if err != nil {
		return page, fault.New(fault.Invalid, wrong, "%s", fault.Of(err).Msg)
	}
	page.count = min(max(count, 0), maxPage)
	if !page.cursor {
		start, err := number("startIndex", p.startIndex, 1)
		page.start = max(start, 1)
		return page, err
	}
	if p.count != nil && strings.TrimSpace(*p.count) != "" {
		page.asked = page.count
	}
	switch beside, above := p.startIndex != nil, count > maxPage; {
	case c.mode == schema.Compat && (beside || above):
		c.report.Add(schema.CursorPaging)
	case beside:
		return page, fault.New(fault.Invalid, fault.InvalidValue, "Give `startIndex` or `cursor`, not both.")
	case above:
		return page, fault.New(fault.Invalid, fault.InvalidCount, "A page has at most %d resources.", maxPage)
	}
	if *p.cursor != "" {
		page.from, err = c.open(page, *p.cursor)
	}
	return page, err
}

func errCursor() error {
	return fault.New(fault.Invalid, fault.InvalidCursor, "The cursor is not one that this query was answered with. Begin again with an empty one.")
}

// macLen is the length of the MAC, which ends a cursor.
const macLen = 26

// mac binds a place, as it is written, to its list.
func (c *call) mac(list, place string) string {
	conn := string(c.dir.Connection().ID)
	return c.who.Org.Digest("cursor", strconv.Itoa(len(place))+":"+place+conn+list)
}

// next returns the cursor for the page that begins at the place.
func (c *call) next(page paging, at place) string {
	words := []string{strconv.FormatInt(c.h.Now().Add(cursorTimeout).Unix(), 36), strconv.Itoa(page.asked), strconv.Itoa(at.part), strconv.Itoa(at.offset)}
	for _, a := range at.anchors {
		words = append(words, a.id, a.mark)
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(strings.Join(words, " ")))
	return text + c.mac(page.list, text)
}

// open reads a cursor.
func (c *call) open(page paging, cursor string) (place, error) {
	at := len(cursor) - macLen
	if at <= 0 || subtle.ConstantTimeCompare([]byte(c.mac(page.list, cursor[:at])), []byte(cursor[at:])) != 1 {
		return place{}, errCursor()
	}
	// From here on it is what next wrote, though perhaps not that of this program.
	text, err := base64.RawURLEncoding.DecodeString(cursor[:at])
	words := strings.Split(string(text), " ")
	if err != nil || len(words) < 4 {
		return place{}, errCursor()
	}
	until, _ := strconv.ParseInt(words[0], 36, 64)
	if c.h.Now().Unix() > until {
		return place{}, fault.New(fault.Invalid, fault.ExpiredCursor, "The cursor has expired: cursors are good for %d seconds. Begin again with an empty one.", int(cursorTimeout/time.Second))
	}
	if words[1] != strconv.Itoa(page.asked) {
		return place{}, fault.New(fault.Invalid, fault.InvalidCount, "`count` has to be the one of the first page.")
	}
	var to place
	to.part, _ = strconv.Atoi(words[2])
	to.offset, _ = strconv.Atoi(words[3])
	for words = words[4:]; len(words) > 1; words = words[2:] {
		to.anchors = append(to.anchors, anchor{words[0], words[1]})
	}
	return to, nil
}

// appendPage renders a ListResponse: by index with startIndex, by cursor with
// nextCursor, which is empty on the last page.
func appendPage(b []byte, page paging, total int, next string, resources [][]byte) []byte {
	b = append(b, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":`...)
	b = strconv.AppendInt(b, int64(total), 10)
	if !page.cursor {
		b = append(b, `,"startIndex":`...)
		b = strconv.AppendInt(b, int64(page.start), 10)
	}
	b = append(b, `,"itemsPerPage":`...)
	b = strconv.AppendInt(b, int64(len(resources)), 10)
	if next != "" {
		b = append(b, `,"nextCursor":"`...)
		b = append(b, next...) // of characters that stand for themselves
		b = append(b, '"')
	}
	b = append(b, `,"Resources":[`...)
	for i, r := range resources {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r...)
	}
	return append(b, `]}`...)
}
