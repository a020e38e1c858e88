package simulate

import (
	"fmt"
	"strings"
	"time"
)

// allPanels are the panels that this result needs, each with a scale that
// holds all runs.
func (p *picture) allPanels() []panel {
	sec := p.res.Runs[0].Series.Window.Seconds()
	var newMost, openMost, slow, quick, lostMost float64
	quick = 1e18
	weights := false
	for i := range p.res.Runs {
		r := &p.res.Runs[i]
		weights = weights || r.Feedback != NoFeedback
		for _, v := range p.stacked(r, sec)[len(p.layers(r))] {
			newMost = max(newMost, v)
		}
		for _, s := range r.Series.Servers {
			for _, v := range grouped(floats(s.Open), mean) {
				openMost = max(openMost, v)
			}
		}
		for _, v := range grouped(durations(r.Series.P99), most) {
			slow = max(slow, v)
		}
		for _, v := range durations(r.Series.P50) {
			if v > 0 {
				quick = min(quick, v)
			}
		}
		for _, v := range grouped(floats(r.Series.Lost), mean) {
			lostMost = max(lostMost, v/sec)
		}
	}
	panels := []panel{
		{"new connections per s", 150, linear(newMost, 4), func(p *picture, r *Run, f frame) { p.areas(r, f, sec) }},
		{"open connections", 130, linear(openMost, 4), (*picture).opens},
	}
	if slow > 0 {
		panels = append(panels, panel{"time to answer", 120, logTime(quick, slow), (*picture).latencies})
	}
	if lostMost > 0 {
		s := linear(lostMost, 2)
		panels = append(panels, panel{"lost per s", 60, s, func(p *picture, r *Run, f frame) { p.losses(r, f, s, sec) }})
	}
	if weights {
		s := linear(100, 2)
		for i := range p.res.Runs {
			for k := range p.res.Scenario.Servers {
				for _, v := range p.res.weightPercent(&p.res.Runs[i], k) {
					if v > s.high {
						s = linear(v, 2)
					}
				}
			}
		}
		s.label = func(v float64) string { return number(v) + " %" }
		panels = append(panels, panel{"weight", 64, s, (*picture).weights})
	}
	return panels
}

// layers are the servers of the stacked areas: those with a colour, and last
// all others as one.
func (p *picture) layers(r *Run) [][]int {
	var out [][]int
	var rest []int
	for i := range r.Series.Servers {
		if p.color[i] == svgColors {
			rest = append(rest, i)
			continue
		}
		out = append(out, []int{i})
	}
	if rest != nil {
		out = append(out, rest)
	}
	return out
}

// stacked are the upper edges of the layers, beginning with the bottom.
func (p *picture) stacked(r *Run, sec float64) [][]float64 {
	edges := [][]float64{make([]float64, len(grouped(floats(r.Series.Lost), mean)))}
	for _, layer := range p.layers(r) {
		edge := append([]float64(nil), edges[len(edges)-1]...)
		for _, i := range layer {
			for k, v := range grouped(floats(r.Series.Servers[i].New), mean) {
				edge[k] += v / sec
			}
		}
		edges = append(edges, edge)
	}
	return edges
}

// areas draws who gets the new connections.
func (p *picture) areas(r *Run, f frame, sec float64) {
	edges := p.stacked(r, sec)
	s := p.panels[0].scale
	n := len(edges[0])
	for i, layer := range p.layers(r) {
		var b strings.Builder
		for k, v := range edges[i+1] {
			fmt.Fprintf(&b, "%s%s %s", map[bool]string{true: "M", false: "L"}[k == 0], xy(f.x+place(k, n)*f.w), xy(f.y+f.h*(1-s.at(v))))
		}
		for k := n - 1; k >= 0; k-- {
			fmt.Fprintf(&b, "L%s %s", xy(f.x+place(k, n)*f.w), xy(f.y+f.h*(1-s.at(edges[i][k]))))
		}
		fmt.Fprintf(p, `<path class="area f%d" d="%sZ"/>`+"\n", p.color[layer[0]], b.String())
	}
}

// place is where point k of n stands, from 0 to 1.
func place(k, n int) float64 { return float64(k) / float64(max(n-1, 1)) }

// path draws a line.
func (p *picture) path(values []float64, f frame, s scale, class string, gaps bool) {
	var b strings.Builder
	pen := "M"
	for k, v := range values {
		if gaps && v == 0 {
			pen = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%s %s", pen, xy(f.x+place(k, len(values))*f.w), xy(f.y+f.h*(1-s.at(v))))
		pen = "L"
	}
	if b.Len() > 0 {
		fmt.Fprintf(p, `<path class="line %s" d="%s"/>`+"\n", class, b.String())
	}
}

// class is how a server's line looks.
func (p *picture) class(i int) string {
	if p.color[i] == svgColors {
		return "s8 thin"
	}
	return fmt.Sprintf("s%d", p.color[i])
}

// everyServer calls do for the servers, those without a colour first, and of
// them no more than thirty.
func (p *picture) everyServer(do func(i int)) {
	plain := 0
	for i, c := range p.color {
		if c == svgColors && plain < 30 {
			plain++
			do(i)
		}
	}
	for i, c := range p.color {
		if c < svgColors {
			do(i)
		}
	}
}

func (p *picture) opens(r *Run, f frame) {
	p.everyServer(func(i int) {
		p.path(grouped(floats(r.Series.Servers[i].Open), mean), f, p.panels[1].scale, p.class(i), false)
	})
}

func (p *picture) latencies(r *Run, f frame) {
	s := p.panels[2].scale
	p.path(grouped(durations(r.Series.P50), mean), f, s, "p50", true)
	p.path(grouped(durations(r.Series.P99), most), f, s, "p99", true)
	p.anchored(f.x+f.w, f.y-6, "tick", "end", "line: 99 % within, dashes: half within")
}

func (p *picture) losses(r *Run, f frame, s scale, sec float64) {
	values := grouped(floats(r.Series.Lost), mean)
	w := f.w / float64(len(values))
	for k, v := range values {
		if v > 0 {
			h := max(f.h*s.at(v/sec), 1.5)
			fmt.Fprintf(p, `<rect class="lost" x="%s" y="%s" width="%s" height="%s"/>`+"\n", xy(f.x+float64(k)*w), xy(f.y+f.h-h), xy(max(w, 1.5)), xy(h))
		}
	}
}

func (p *picture) weights(r *Run, f frame) {
	s := p.panels[len(p.panels)-1].scale
	p.everyServer(func(i int) {
		p.path(p.res.weightPercent(r, i), f, s, p.class(i), false)
	})
}

// weightPercent is a server's weight in parts of the one that its configured
// weight stands for.
func (res *Result) weightPercent(r *Run, i int) []float64 {
	full := res.Scenario.lawOf(r.Scheduler, r.Feedback).Steady(res.Scenario.Servers[i].Weight).Weight
	out := floats(r.Series.Servers[i].Weight)
	for k := range out {
		out[k] *= 100 / float64(max(full, 1))
	}
	return grouped(out, last)
}

// grouped makes at most svgPoints points of a series, each by what a group of
// them is worth.
func grouped(values []float64, of func([]float64) float64) []float64 {
	size := (len(values) + svgPoints - 1) / svgPoints
	if size <= 1 {
		return values
	}
	var out []float64
	for len(values) > 0 {
		n := min(size, len(values))
		out = append(out, of(values[:n]))
		values = values[n:]
	}
	return out
}

func mean(v []float64) (m float64) {
	for _, x := range v {
		m += x / float64(len(v))
	}
	return m
}

func most(v []float64) (m float64) {
	for _, x := range v {
		m = max(m, x)
	}
	return m
}

func last(v []float64) float64 { return v[len(v)-1] }

func floats(v []int) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

func durations(v []time.Duration) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}
