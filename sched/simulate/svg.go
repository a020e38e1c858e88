package simulate

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// The measures of the picture, in its own units.
const (
	svgLeft, svgRight = 76, 22 // beside a plot, within its column
	svgMargin         = 18
	svgGap            = 36 // below a panel
	svgPoints         = 150
	svgMostLabels     = 12
	svgMostColumns    = 3
	svgColors         = 8
	svgLegendRow      = 22
)

// svgStyle has all colours, for a light and for a dark background. The eight
// of the servers are told apart by people who do not see red and green as
// two (after Okabe and Ito).
const svgStyle = `
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#1f2933}
.bg{fill:#ffffff}.title{font-size:21px;font-weight:700}.sub{font-size:13px}.head{font-size:16px;font-weight:700}
.small{font-size:12px}.soft{fill:#52606d}.tick{font-size:11px;fill:#52606d}.bad{fill:#b42318;font-weight:600}.good{fill:#1a7f4b;font-weight:600}
.grid{stroke:#dfe4ea;stroke-width:1}.axis{stroke:#7b8794;stroke-width:1}.event{stroke:#52606d;stroke-width:1.2;stroke-dasharray:4 3}
.line{fill:none;stroke-width:2;stroke-linejoin:round}.thin{stroke-width:1;stroke-opacity:.55}.p99{stroke:#b42318}.p50{stroke:#52606d;stroke-dasharray:5 3}.lost{fill:#b42318}
.s0{stroke:#0072b2}.s1{stroke:#e08a00}.s2{stroke:#009e73}.s3{stroke:#c0589a}.s4{stroke:#3a9bd9}.s5{stroke:#c44e00}.s6{stroke:#8a7a00}.s7{stroke:#6a3d9a}.s8{stroke:#9aa5b1}
.f0{fill:#0072b2}.f1{fill:#e08a00}.f2{fill:#009e73}.f3{fill:#c0589a}.f4{fill:#3a9bd9}.f5{fill:#c44e00}.f6{fill:#8a7a00}.f7{fill:#6a3d9a}.f8{fill:#9aa5b1}
.area{fill-opacity:.78;stroke:none}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.bg{fill:#0d1117}.soft,.tick{fill:#9aa7b4}.bad{fill:#ff8577}.good{fill:#56d39b}
.grid{stroke:#262e38}.axis{stroke:#6b7885}.event{stroke:#b6c2cf}.p99{stroke:#ff8577}.p50{stroke:#9aa7b4}.lost{fill:#ff8577}
.s0{stroke:#58a6ff}.s1{stroke:#f2b233}.s2{stroke:#2cc295}.s3{stroke:#e39cc4}.s4{stroke:#9ad4f7}.s5{stroke:#f2793a}.s6{stroke:#d0c04a}.s7{stroke:#b197e0}.s8{stroke:#6b7885}
.f0{fill:#58a6ff}.f1{fill:#f2b233}.f2{fill:#2cc295}.f3{fill:#e39cc4}.f4{fill:#9ad4f7}.f5{fill:#f2793a}.f6{fill:#d0c04a}.f7{fill:#b197e0}.f8{fill:#6b7885}}
`

// picture is an SVG that is being drawn.
type picture struct {
	*bufio.Writer
	res *Result
	// color is each server's, svgColors for the grey of the rest.
	color []int
	// columns and column are their number and width, plot the width within
	// the axes.
	columns      int
	column, plot float64
	panels       []panel
	width, high  float64
	labels       []mark
	labelRows    int
}

// mark is an event where it is written.
type mark struct {
	at   time.Duration
	text string
	row  int
}

// panel is a row of plots, the same for all runs and with the same scale.
type panel struct {
	title  string
	height float64
	scale  scale
	draw   func(p *picture, r *Run, f frame)
}

// frame is where a plot stands.
type frame struct{ x, y, w, h float64 }

// WriteSVG draws the result: a column for each run, and in it who gets the
// new connections, how many are open, how long answers take, what was lost,
// and the weights if anybody changes them. The columns have the same scales.
// The picture is whole by itself, has no script, and follows a dark or light
// setting of the reader.
func (res *Result) WriteSVG(w io.Writer) error {
	p := &picture{Writer: bufio.NewWriter(w), res: res}
	p.columns = min(len(res.Runs), svgMostColumns)
	p.column = []float64{980, 560, 420}[p.columns-1]
	p.plot = p.column - svgLeft - svgRight
	p.width = 2*svgMargin + float64(p.columns)*p.column
	p.chooseColors()
	p.placeLabels()
	p.panels = p.allPanels()
	entries := p.legendOf(svgMargin + 8)
	header := 112 + float64(entries[len(entries)-1].row)*svgLegendRow
	block := 84.0 + float64(p.labelRows)*15
	for _, l := range p.panels {
		block += l.height + svgGap
	}
	rows := (len(res.Runs) + p.columns - 1) / p.columns
	p.high = header + float64(rows)*block + svgMargin
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" role="img" aria-labelledby="title desc">`+"\n", xy(p.width), xy(p.high))
	fmt.Fprintf(p, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n<style>%s</style>\n", escape(res.title()), escape(res.describe()), svgStyle)
	fmt.Fprintf(p, `<rect class="bg" width="%s" height="%s"/>`+"\n", xy(p.width), xy(p.high))
	p.text(svgMargin+8, 38, "title", clip(res.title(), int(p.width/13)))
	p.text(svgMargin+8, 60, "sub soft", clip(res.Summary(), int(p.width/7)))
	p.legend(entries, 86)
	for i := range res.Runs {
		p.run(&res.Runs[i], svgMargin+float64(i%p.columns)*p.column, header+float64(i/p.columns)*block)
	}
	fmt.Fprintln(p, "</svg>")
	return p.Flush()
}

func (res *Result) title() string {
	if res.Scenario.Title != "" {
		return res.Scenario.Title
	}
	return "Load of " + fmt.Sprint(len(res.Scenario.Servers)) + " servers under " + strings.Join(res.Scenario.Schedulers, ", ")
}

// describe is the picture in words.
func (res *Result) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Simulated: %s.", res.Summary())
	for i, e := range res.Scenario.Events {
		if i == svgMostLabels {
			fmt.Fprintf(&b, " And %d more events.", len(res.Scenario.Events)-i)
			break
		}
		fmt.Fprintf(&b, " At %s %s.", brief(e.At), e.Label())
	}
	for i := range res.Runs {
		r := &res.Runs[i]
		fmt.Fprintf(&b, " %s: %s; 99 of 100 answers within %s; %d connections refused, %d broken.", r.heading(), r.Excess, brief(r.Latency.P99), r.Refused, r.Broken)
	}
	return b.String()
}

// heading names a run in words.
func (r *Run) heading() string {
	switch r.Feedback {
	case NoFeedback:
		return r.Scheduler + " alone"
	case Piranha:
		return r.Scheduler + " with Piranha's slow start"
	case PiranhaLoad:
		return r.Scheduler + " with Piranha's load weights"
	case Gradual:
		return r.Scheduler + " with gradual feedback"
	}
	return r.Label()
}

// chooseColors gives a colour to the servers that events are about, and to
// the first others.
func (p *picture) chooseColors() {
	servers := p.res.Scenario.Servers
	p.color = make([]int, len(servers))
	if len(servers) <= svgColors {
		for i := range p.color {
			p.color[i] = i
		}
		return
	}
	for i := range p.color {
		p.color[i] = svgColors
	}
	next := 0
	give := func(i int) {
		if next < svgColors && p.color[i] == svgColors {
			p.color[i] = next
			next++
		}
	}
	for _, e := range p.res.Scenario.Events {
		give(slices.IndexFunc(servers, func(s Server) bool { return s.Name == e.Server }))
	}
	for i := range servers {
		give(i)
	}
}

// placeLabels puts the labels of events into rows so that none hides another.
func (p *picture) placeLabels() {
	var ends []float64
	for _, e := range p.res.Scenario.Events[:min(len(p.res.Scenario.Events), svgMostLabels)] {
		m := mark{at: e.At, text: e.Label()}
		x := p.plot * float64(e.At) / float64(p.res.Scenario.Duration)
		w := textWidth(m.text, 12)
		if x+w > p.plot+svgRight {
			x -= w
		}
		for m.row = 0; m.row < len(ends) && ends[m.row]+8 > x; m.row++ {
		}
		if m.row == len(ends) {
			ends = append(ends, 0)
		}
		ends[m.row] = x + w
		p.labels = append(p.labels, m)
	}
	p.labelRows = len(ends)
}

func (p *picture) text(x, y float64, class, text string) {
	fmt.Fprintf(p, `<text x="%s" y="%s" class="%s">%s</text>`+"\n", xy(x), xy(y), class, escape(text))
}

func (p *picture) anchored(x, y float64, class, anchor, text string) {
	fmt.Fprintf(p, `<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>`+"\n", xy(x), xy(y), class, anchor, escape(text))
}

func (p *picture) lineTo(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(p, `<line x1="%s" y1="%s" x2="%s" y2="%s" class="%s"/>`+"\n", xy(x1), xy(y1), xy(x2), xy(y2), class)
}

// entry is a colour with its name, where it stands in the legend.
type entry struct {
	color, row int
	x          float64
	name       string
}

// legendOf places the names of the colours in rows, so that all are there.
func (p *picture) legendOf(x float64) []entry {
	var out []entry
	others := 0
	for i, s := range p.res.Scenario.Servers {
		if p.color[i] == svgColors {
			others++
			continue
		}
		out = append(out, entry{color: p.color[i], name: fmt.Sprintf("%s (weight %d)", s.Name, s.Weight)})
	}
	if others > 0 {
		out = append(out, entry{color: svgColors, name: fmt.Sprintf("%d others", others)})
	}
	at, row := x, 0
	for i := range out {
		e := &out[i]
		w := 44 + textWidth(e.name, 13)
		if at > x && at+w-24 > p.width-svgMargin {
			at, row = x, row+1
		}
		e.x, e.row = at, row
		at += w
	}
	return out
}

func (p *picture) legend(entries []entry, y float64) {
	for _, e := range entries {
		y := y + float64(e.row)*svgLegendRow
		fmt.Fprintf(p, `<rect x="%s" y="%s" width="14" height="14" rx="3" class="f%d"/>`+"\n", xy(e.x), xy(y-11), e.color)
		p.text(e.x+20, y, "sub", e.name)
	}
}

// run draws the column of one run.
func (p *picture) run(r *Run, x, y float64) {
	p.text(x+8, y+16, "head", clip(r.heading(), int((p.column-16)/9)))
	lost := "nothing lost"
	if n := r.Refused + r.Broken; n > 0 {
		lost = fmt.Sprintf("%d lost", n)
	}
	// A letter takes 7 units at most.
	fits := int((p.column - 16) / 7)
	p.text(x+8, y+36, "small soft", clip(fmt.Sprintf("99 %% within %s, slowest %s; %s", brief(r.Latency.P99), brief(r.Latency.Max), lost), fits))
	if e := r.Excess; e.For > 0 {
		p.text(x+8, y+54, "small bad", clip(fmt.Sprintf("%s got %.0f %% of the new connections for %s (due: %.0f %%)", e.Server, 100*e.Share, brief(e.For), 100*e.Fair), fits))
	} else {
		p.text(x+8, y+54, "small good", "No server got far more than its share")
	}
	top := y + 66 + float64(p.labelRows)*15
	f := frame{x + svgLeft, top, p.plot, 0}
	for i, l := range p.panels {
		f.h = l.height
		p.panel(r, f, l, i == len(p.panels)-1)
		f.y += l.height + svgGap
	}
	bottom := f.y - svgGap
	for i, e := range p.res.Scenario.Events {
		ex := f.x + f.w*float64(e.At)/float64(p.res.Scenario.Duration)
		if i >= len(p.labels) {
			p.lineTo(ex, top, ex, bottom, "event")
			continue
		}
		m := p.labels[i]
		ly := top - 6 - float64(m.row)*15
		p.lineTo(ex, ly-2, ex, bottom, "event")
		if anchor := "start"; ex+textWidth(m.text, 12) > f.x+f.w+svgRight {
			anchor = "end"
			p.anchored(ex-4, ly, "small", anchor, m.text)
		} else {
			p.anchored(ex+4, ly, "small", anchor, m.text)
		}
	}
}

// panel draws one plot with its axes.
func (p *picture) panel(r *Run, f frame, l panel, last bool) {
	for _, t := range l.scale.ticks {
		y := f.y + f.h*(1-l.scale.at(t))
		p.lineTo(f.x, y, f.x+f.w, y, "grid")
		p.anchored(f.x-8, y+4, "tick", "end", l.scale.label(t))
	}
	l.draw(p, r, f)
	p.lineTo(f.x, f.y, f.x, f.y+f.h, "axis")
	p.lineTo(f.x, f.y+f.h, f.x+f.w, f.y+f.h, "axis")
	// The title stands over the plot, where it is read without turning the head.
	fmt.Fprintf(p, `<text transform="translate(%s %s) rotate(-90)" class="tick" text-anchor="middle">%s</text>`+"\n", xy(f.x-56), xy(f.y+f.h/2), escape(l.title))
	unit, name := timeUnit(p.res.Scenario.Duration)
	for _, t := range ticks(float64(p.res.Scenario.Duration)/float64(unit), int(f.w/45)) {
		x := f.x + f.w*t*float64(unit)/float64(p.res.Scenario.Duration)
		p.lineTo(x, f.y+f.h, x, f.y+f.h+4, "axis")
		if last {
			p.anchored(x, f.y+f.h+17, "tick", "middle", number(t))
		}
	}
	if last {
		p.anchored(f.x+f.w, f.y+f.h+32, "tick", "end", "time in "+name)
	}
}

// xy writes a coordinate with a tenth.
func xy(v float64) string { return trimZeros(fmt.Sprintf("%.1f", math.Round(v*10)/10)) }

// textWidth guesses how wide a text is.
func textWidth(s string, size float64) float64 { return 0.58 * size * float64(len([]rune(s))) }

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

var svgEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func escape(s string) string { return svgEscaper.Replace(s) }
