package gateway

import "strings"

// route is a route's key, taken apart.
type route struct {
	Route
	method   string   // "ANY" for all; empty: $default
	segments []string // of the path
	greedy   bool     // the last is a variable for all that follows
}

func parseRoute(r Route) route {
	method, path, ok := strings.Cut(r.Key, " ")
	if !ok {
		return route{Route: r}
	}
	p := route{Route: r, method: method, segments: strings.Split(strings.TrimPrefix(path, "/"), "/")}
	last := p.segments[len(p.segments)-1]
	p.greedy = strings.HasSuffix(last, "+}")
	return p
}

// match returns the variables of the path, false if the route is another's.
func (r route) match(method, path string) (map[string]string, bool) {
	if r.method == "" {
		return nil, true
	}
	if r.method != "ANY" && r.method != method {
		return nil, false
	}
	rest := strings.TrimPrefix(path, "/")
	var parameters map[string]string
	for i, s := range r.segments {
		last := i == len(r.segments)-1
		part, after, more := strings.Cut(rest, "/")
		if last && r.greedy {
			part, more = rest, false
		}
		name, variable := strings.CutPrefix(s, "{")
		switch {
		case variable && part == "", !variable && part != s, last == more:
			return nil, false
		case variable:
			if parameters == nil {
				parameters = map[string]string{}
			}
			parameters[strings.TrimRight(name, "+}")] = part
		}
		rest = after
	}
	return parameters, true
}

// rank orders routes that match one request: a full match comes before a greedy
// one, that before $default; of two, the one with more literal segments, then the
// one that names the method.
func (r route) rank() int {
	if r.method == "" {
		return 0
	}
	n := 1
	for _, s := range r.segments {
		if !strings.HasPrefix(s, "{") {
			n += 2
		}
	}
	if r.method != "ANY" {
		n++
	}
	if !r.greedy {
		n += 1000
	}
	return n
}

func (a *api) find(method, path string) (route, map[string]string, bool) {
	var best route
	var parameters map[string]string
	found := false
	for _, r := range a.routes {
		if p, ok := r.match(method, path); ok && (!found || r.rank() > best.rank()) {
			best, parameters, found = r, p, true
		}
	}
	return best, parameters, found
}
