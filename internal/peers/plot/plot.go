// Package plot draws measurements as SVG: markers over categories or over sizes,
// on logarithmic scales, because what is compared differs by powers of ten. A
// picture is readable on light and dark pages, and tells its series by shape as
// well as by colour.
//
// It is no general plotter: it knows what docs/performance.md needs.
package plot

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Chart is a picture. Values that are not positive are left out.
type Chart struct {
	Title  string
	Y      string   // what is measured, with its unit
	X      string   // what is beneath, with its unit
	Labels []string // categories, from left to right; empty: X is a logarithmic scale
	Series []Series
}

// Series are the measurements of one contender. Its place in the list gives
// shape and colour: a contender should have the same in every picture.
type Series struct {
	Name   string
	Points []Point
}

// Point is a measurement; X is the index of a category where there are any.
type Point struct{ X, Y float64 }

const (
	width, height            = 760, 400
	left, right, top, bottom = 74, 150, 64, 58
	across, down             = width - left - right, height - top - bottom
)

const style = `<style>
svg { background: #ffffff }
text { fill: #24292f; font: 12px system-ui, sans-serif }
.title { font-size: 15px; font-weight: 600 }
.grid { stroke: #d8dee4; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.c0 { fill: #6e7781; stroke: #6e7781 } .c1 { fill: #0969da; stroke: #0969da } .c2 { fill: #bc4c00; stroke: #bc4c00 }
.c3 { fill: #1a7f37; stroke: #1a7f37 } .c4 { fill: #8250df; stroke: #8250df } .c5 { fill: #bf3989; stroke: #bf3989 }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 }
text { fill: #e6edf3 }
.grid { stroke: #30363d }
.c0 { fill: #8b949e; stroke: #8b949e } .c1 { fill: #58a6ff; stroke: #58a6ff } .c2 { fill: #f0883e; stroke: #f0883e }
.c3 { fill: #3fb950; stroke: #3fb950 } .c4 { fill: #bc8cff; stroke: #bc8cff } .c5 { fill: #f778ba; stroke: #f778ba }
}
</style>
`

// colours is how many series can be told apart.
const colours = 6

// SVG draws the chart.
func (c Chart) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString(c.Title+". "+c.Y))
	b.WriteString(style)
	fmt.Fprintf(&b, `<text class="title" x="16" y="26">%s</text>`+"\n", html.EscapeString(c.Title))
	fmt.Fprintf(&b, `<text x="16" y="46">%s, logarithmic</text>`+"\n", html.EscapeString(c.Y))
	ys := c.scale(func(p Point) float64 { return p.Y })
	xs := scale{}
	if len(c.Labels) == 0 {
		xs = c.scale(func(p Point) float64 { return p.X })
	}
	y := func(v float64) float64 { return top + down*(1-ys.at(v)) }
	x := func(v float64) float64 {
		if n := len(c.Labels); n > 0 {
			return left + across*(v+0.5)/float64(n)
		}
		return left + across*xs.at(v)
	}
	for d := ys.low; d <= ys.high; d++ {
		at := y(math.Pow10(d))
		fmt.Fprintf(&b, `<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`, left, at, left+across, at)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", left-8, at+4, decade(d))
	}
	if len(c.Labels) == 0 {
		for d := xs.low; d <= xs.high; d++ {
			at := x(math.Pow10(d))
			fmt.Fprintf(&b, `<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`, at, top, at, top+down)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", at, top+down+18, decade(d))
		}
	}
	for i, label := range c.Labels {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(float64(i)), top+down+18, html.EscapeString(label))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", left+across/2, height-14, html.EscapeString(c.X))
	for i, s := range c.Series {
		c.draw(&b, i, s, x, y)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (c Chart) draw(b *strings.Builder, i int, s Series, x, y func(float64) float64) {
	colour := i % colours
	// Series stand beside each other in a category, never upon each other.
	shift := 0.0
	if len(c.Labels) > 0 {
		shift = (float64(i) - float64(len(c.Series)-1)/2) * 16
	}
	var path []string
	for _, p := range s.Points {
		if p.Y <= 0 {
			continue
		}
		px, py := x(p.X)+shift, y(p.Y)
		path = append(path, fmt.Sprintf("%.1f,%.1f", px, py))
		fmt.Fprintf(b, `<g class="c%d"><title>%s: %s</title>%s</g>`+"\n", colour, html.EscapeString(s.Name), short(p.Y), marker(i, px, py))
	}
	if len(c.Labels) == 0 && len(path) > 1 {
		fmt.Fprintf(b, `<polyline class="line c%d" style="fill:none" points="%s"/>`+"\n", colour, strings.Join(path, " "))
	}
	if len(path) == 0 {
		return
	}
	line := top + 12 + i*22
	fmt.Fprintf(b, `<g class="c%d">%s</g>`, colour, marker(i, left+across+22, float64(line)))
	fmt.Fprintf(b, `<text x="%d" y="%d">%s</text>`+"\n", left+across+36, line+4, html.EscapeString(s.Name))
}

// marker is the shape of a series: a circle, a square, triangles, a diamond, a
// bar.
func marker(i int, x, y float64) string {
	corners := func(at ...float64) string {
		var points []string
		for k := 0; k < len(at); k += 2 {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x+at[k], y+at[k+1]))
		}
		return `<polygon points="` + strings.Join(points, " ") + `"/>`
	}
	switch i % colours {
	case 0:
		return fmt.Sprintf(`<circle cx="%.1f" cy="%.1f" r="4.5"/>`, x, y)
	case 1:
		return corners(-5, -5, 5, -5, 5, 5, -5, 5)
	case 2:
		return corners(0, -6, 6, 5, -6, 5)
	case 3:
		return corners(0, -6, 6, 0, 0, 6, -6, 0)
	case 4:
		return corners(0, 6, 6, -5, -6, -5)
	default:
		return corners(-6, -2, 6, -2, 6, 2, -6, 2)
	}
}

// scale is a range of whole powers of ten.
type scale struct{ low, high int }

func (c Chart) scale(of func(Point) float64) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range c.Series {
		for _, p := range s.Points {
			if v := of(p); p.Y > 0 && v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if low > high {
		return scale{0, 1}
	}
	s := scale{int(math.Floor(math.Log10(low))), int(math.Ceil(math.Log10(high)))}
	if s.low == s.high {
		s.high++
	}
	return s
}

// at returns where the value stands, from 0 to 1.
func (s scale) at(v float64) float64 {
	return (math.Log10(v) - float64(s.low)) / float64(s.high-s.low)
}

// decade writes a power of ten as people read it.
func decade(d int) string {
	if d < 0 {
		return strconv.FormatFloat(math.Pow10(d), 'f', -d, 64)
	}
	text := "1" + strings.Repeat("0", d)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

func short(v float64) string { return strconv.FormatFloat(v, 'g', 3, 64) }
