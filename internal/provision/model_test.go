package provision_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/internal/fault"
	"gatehouse/internal/identity"
	"gatehouse/internal/provision"
	"gatehouse/internal/roster"
	"gatehouse/internal/scim/value"
)

// model is what the use cases should come to, written down plainly.
type model struct {
	w      *world
	users  map[string]*modelUser
	groups map[string]*modelGroup
	gone   []string // ids of the deleted, for calls that must find nothing
	serial int
}

type modelUser struct {
	d         provision.Directory
	name, ext string
	active    bool
}

type modelGroup struct {
	d       provision.Directory
	name    string
	members map[string]bool
}

func (m *model) directory(t *rapid.T) provision.Directory {
	if rapid.IntRange(0, 3).Draw(t, "directory") == 0 {
		return m.w.b
	}
	return m.w.a
}

// name draws from a pool so small that names meet.
func (m *model) name(t *rapid.T) string {
	n := fmt.Sprintf("user%d@example.com", rapid.IntRange(0, 11).Draw(t, "name"))
	if rapid.Bool().Draw(t, "capitals") {
		n = strings.ToUpper(n)
	}
	return n
}

func (m *model) taken(name string, but string) bool {
	for id, u := range m.users {
		if id != but && identity.Fold(u.name) == identity.Fold(name) {
			return true
		}
	}
	return false
}

func (m *model) extTaken(d provision.Directory, ext, but string) bool {
	for id, u := range m.users {
		if id != but && ext != "" && u.ext == ext && u.d.Connection().ID == d.Connection().ID {
			return true
		}
	}
	return false
}

func (m *model) someUser(t *rapid.T) string {
	if len(m.users) == 0 {
		t.Skip("no users")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.users))).Draw(t, "user")
}

func (m *model) someGroup(t *rapid.T) string {
	if len(m.groups) == 0 {
		t.Skip("no groups")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(m.groups))).Draw(t, "group")
}

// some draws ids of the directory's users, repeats among them.
func (m *model) some(t *rapid.T, d provision.Directory) []string {
	var own []string
	for id, u := range m.users {
		if u.d.Connection().ID == d.Connection().ID {
			own = append(own, id)
		}
	}
	if len(own) == 0 {
		return nil
	}
	sort.Strings(own)
	if rapid.IntRange(0, 3).Draw(t, "everybody") == 0 {
		return own
	}
	return rapid.SliceOfN(rapid.SampledFrom(own), 0, len(own)).Draw(t, "members")
}

func expect(t *rapid.T, what string, err error, code string) bool {
	switch {
	case code == "" && err != nil:
		t.Fatalf("%s: %v", what, err)
	case code == "none" && !gone(err):
		t.Fatalf("%s = %v, want not found", what, err)
	case code != "" && code != "none" && !fault.Coded(err, code):
		t.Fatalf("%s = %v, want %s", what, err, code)
	}
	return err == nil
}

func (m *model) join(t *rapid.T) {
	d, name, ext, active := m.directory(t), m.name(t), "", rapid.Bool().Draw(t, "active")
	if rapid.Bool().Draw(t, "with externalId") {
		ext = fmt.Sprint("X", rapid.IntRange(0, 7).Draw(t, "externalId"))
	}
	want := ""
	if m.taken(name, "") || m.extTaken(d, ext, "") {
		want = fault.Uniqueness
	}
	u, err := d.Join(t.Context(), doc(t, fmt.Sprintf(`{"userName":%q,"externalId":%q,"active":%v,"emails":[{"value":%q}]}`, name, ext, active, name)))
	if expect(t, "Join("+name+")", err, want) {
		m.users[string(u.ID)] = &modelUser{d: d, name: name, ext: ext, active: active}
	}
}

func (m *model) leave(t *rapid.T) {
	id := m.someUser(t)
	expect(t, "Leave", m.users[id].d.Leave(t.Context(), id, nil), "")
	delete(m.users, id)
	m.gone = append(m.gone, id)
	for _, g := range m.groups {
		delete(g.members, id)
	}
}

func (m *model) change(t *rapid.T) {
	id := m.someUser(t)
	u := m.users[id]
	next, edit := *u, ""
	switch edit = rapid.SampledFrom([]string{"userName", "externalId", "active"}).Draw(t, "attribute"); edit {
	case "userName":
		next.name = m.name(t)
	case "externalId":
		next.ext = fmt.Sprint("X", rapid.IntRange(0, 7).Draw(t, "externalId"))
	case "active":
		next.active = rapid.Bool().Draw(t, "active")
	}
	want := ""
	if m.taken(next.name, id) || m.extTaken(u.d, next.ext, id) {
		want = fault.Uniqueness
	}
	_, changed, err := u.d.Change(t.Context(), id, nil, func(r roster.User) (provision.Doc, error) {
		d := r.Doc().Clone()
		d.Set("userName", value.Str(next.name))
		d.Set("active", value.Boolean(next.active))
		if next.ext != "" {
			d.Set("externalId", value.Str(next.ext))
		}
		return provision.Doc{Attributes: d}, nil
	})
	if expect(t, "Change("+edit+")", err, want) {
		if differs := next != *u; changed != differs {
			t.Fatalf("Change(%s) says changed %v, want %v", edit, changed, differs)
		}
		*u = next
	}
}

func (m *model) createGroup(t *rapid.T) {
	m.serial++
	d := m.directory(t)
	g := &modelGroup{d: d, name: fmt.Sprint("Group ", m.serial), members: map[string]bool{}}
	ids := m.some(t, d)
	for _, id := range ids {
		g.members[id] = true
	}
	got, err := d.CreateGroup(t.Context(), group(g.name), ids)
	expect(t, "CreateGroup", err, "")
	if got.Count != len(g.members) {
		t.Fatalf("CreateGroup with %d members counts %d", len(g.members), got.Count)
	}
	m.groups[string(got.ID)] = g
}

func (m *model) changeGroup(t *rapid.T) {
	id := m.someGroup(t)
	g := m.groups[id]
	next := maps.Clone(g.members)
	var ops []provision.MemberOp
	for range rapid.IntRange(1, 3).Draw(t, "steps") {
		op := provision.MemberOp{Kind: rapid.SampledFrom([]provision.MemberKind{provision.AddMembers, provision.RemoveMembers, provision.ReplaceMembers}).Draw(t, "kind"), IDs: m.some(t, g.d)}
		if op.Kind == provision.ReplaceMembers {
			clear(next)
		}
		for _, u := range op.IDs {
			if op.Kind == provision.RemoveMembers {
				delete(next, u)
			} else {
				next[u] = true
			}
		}
		ops = append(ops, op)
	}
	before, err := g.d.Group(t.Context(), id)
	expect(t, "Group", err, "")
	rename := rapid.IntRange(0, 4).Draw(t, "rename") == 0
	var edit func(roster.Group) (provision.Doc, error)
	if rename {
		m.serial++
		g.name = fmt.Sprint("Group ", m.serial)
		edit = func(roster.Group) (provision.Doc, error) { return group(g.name), nil }
	}
	var after roster.Group
	var changed bool
	if !rename && rapid.Bool().Draw(t, "blind") {
		changed, err = g.d.ChangeMembers(t.Context(), id, ops)
		expect(t, "ChangeMembers", err, "")
		after, err = g.d.Group(t.Context(), id)
		expect(t, "Group", err, "")
	} else {
		after, changed, err = g.d.ChangeGroup(t.Context(), id, nil, edit, ops)
		expect(t, "ChangeGroup", err, "")
	}
	differs := rename || !maps.Equal(next, g.members)
	if changed != differs {
		t.Fatalf("ChangeGroup(%v) says changed %v, want %v", ops, changed, differs)
	}
	if moved := after.Tag() != before.Tag(); moved != differs {
		t.Fatalf("the tag of a group moved: %v, want %v", moved, differs)
	}
	if after.Modified.Before(before.Modified) || !differs && !after.Modified.Equal(before.Modified) {
		t.Fatalf("a group changed (%v) at %v was last modified at %v before", differs, after.Modified, before.Modified)
	}
	g.members = next
}

func (m *model) deleteGroup(t *rapid.T) {
	id := m.someGroup(t)
	expect(t, "DeleteGroup", m.groups[id].d.DeleteGroup(t.Context(), id, nil), "")
	delete(m.groups, id)
	m.gone = append(m.gone, id)
}

func (m *model) touchGone(t *rapid.T) {
	if len(m.gone) == 0 {
		t.Skip("nobody left")
	}
	id := rapid.SampledFrom(m.gone).Draw(t, "gone")
	d := m.w.a
	if identity.User(id).Connection() == m.w.b.Connection().ID {
		d = m.w.b
	}
	expect(t, "User of the deleted", second(d.User(t.Context(), id, true)), "none")
	expect(t, "Leave of the deleted", d.Leave(t.Context(), id, nil), "none")
	expect(t, "Change of the deleted", third(d.Change(t.Context(), id, nil, set("title", value.Str("x")))), "none")
	expect(t, "DeleteGroup of the deleted", d.DeleteGroup(t.Context(), id, nil), "none")
}

func (m *model) sweep(t *rapid.T) {
	m.w.check(false)
	if err := m.w.sweepAll(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))); err != nil {
		t.Fatal(err)
	}
}

// agree compares what readers see with the model; nothing need be swept.
func (m *model) agree(t *rapid.T) {
	ctx := t.Context()
	for id, u := range m.users {
		got, err := u.d.User(ctx, id, true)
		if err != nil || got.UserName() != u.name || got.Active() != u.active {
			t.Fatalf("user %s reads as %s, active %v, %v; want %s, active %v", id, got.UserName(), got.Active(), err, u.name, u.active)
		}
		in := map[string]bool{}
		for _, g := range got.Groups {
			in[string(g)] = true
		}
		for gid, g := range m.groups {
			if g.members[id] != in[gid] {
				t.Fatalf("user %s shows group %s: %v, want %v", id, gid, in[gid], g.members[id])
			}
		}
	}
	for id, g := range m.groups {
		if got := m.w.members(g.d, identity.Group(id)); !maps.Equal(got, g.members) {
			t.Fatalf("group %s lists %d members, want the %d of the model", id, len(got), len(g.members))
		}
	}
	for _, d := range []provision.Directory{m.w.a, m.w.b} {
		users, groups := 0, 0
		for _, u := range m.users {
			if u.d.Connection().ID == d.Connection().ID {
				users++
			}
		}
		for _, g := range m.groups {
			if g.d.Connection().ID == d.Connection().ID {
				groups++
			}
		}
		page, err := d.Roster.UserPage(ctx, d.Connection().ID, 1, 1000, true)
		if err != nil || page.Total != users || len(page.Resources) != users {
			t.Fatalf("a directory of %d users lists %d of %d, %v", users, len(page.Resources), page.Total, err)
		}
		list, err := d.Roster.GroupPage(ctx, d.Connection().ID, 1, 1000)
		if err != nil || list.Total != groups || len(list.Resources) != groups {
			t.Fatalf("a directory of %d groups lists %d of %d, %v", groups, len(list.Resources), list.Total, err)
		}
	}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, nil)
		m := &model{w: w, users: map[string]*modelUser{}, groups: map[string]*modelGroup{}}
		// Enough that whole groups take several commits.
		for _, id := range w.crowd(w.a, rapid.SampledFrom([]int{0, 5, 45}).Draw(t, "crowd")) {
			u, err := w.a.User(t.Context(), id, false)
			if err != nil {
				t.Fatal(err)
			}
			m.users[id] = &modelUser{d: w.a, name: u.UserName(), active: true}
		}
		t.Repeat(map[string]func(*rapid.T){
			"join": m.join, "leave": m.leave, "change": m.change, "group": m.createGroup, "members": m.changeGroup,
			"delete group": m.deleteGroup, "gone": m.touchGone, "sweep": m.sweep, "": m.agree,
		})
	})
}
