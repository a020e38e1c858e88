package simulate

import "time"

// recorder keeps the series of a run while it lasts.
type recorder struct {
	Series
	times histogram
	lost  int
	// fair is the share of each server by its configured weight, for each
	// window, due the same by what the table says if that is more.
	fair, due [][]float64
}

func newRecorder(w *world) *recorder {
	n := int(w.Duration / w.Window)
	r := &recorder{Series: Series{
		Window: w.Window,
		P50:    make([]time.Duration, 0, n), P99: make([]time.Duration, 0, n), Lost: make([]int, 0, n),
	}}
	for i := range w.Servers {
		r.Servers = append(r.Servers, ServerSeries{
			Name: w.Servers[i].Name,
			New:  make([]int, 0, n), Open: make([]int, 0, n), Waiting: make([]int, 0, n), Weight: make([]int, 0, n),
		})
		r.fair = append(r.fair, make([]float64, 0, n))
		r.due = append(r.due, make([]float64, 0, n))
	}
	return r
}

// closeWindow writes down the window that ends.
func (e *engine) closeWindow() {
	r := e.series
	if e.windowEnd > e.begin {
		all, table := 0.0, 0.0
		for _, s := range e.servers {
			if s.entry != nil {
				all += float64(s.state.Configured)
				table += float64(s.state.Weight)
			}
		}
		for i, s := range e.servers {
			weight, fair, due := 0, 0.0, 0.0
			if s.entry != nil {
				weight = s.state.Weight
				if all > 0 {
					fair = float64(s.state.Configured) / all
					due = max(fair, float64(weight)/table)
				}
			}
			row := &r.Servers[i]
			row.New = append(row.New, s.fresh)
			row.Open = append(row.Open, s.open)
			row.Waiting = append(row.Waiting, s.waiting.held)
			row.Weight = append(row.Weight, weight)
			r.fair[i] = append(r.fair[i], fair)
			r.due[i] = append(r.due[i], due)
		}
		r.Lost = append(r.Lost, r.lost)
		r.P50 = append(r.P50, r.times.quantile(0.5))
		r.P99 = append(r.P99, r.times.quantile(0.99))
	}
	for _, s := range e.servers {
		s.fresh = 0
	}
	r.lost = 0
	r.times.reset()
	e.windowEnd += int64(e.w.Window)
}

// finish closes the accounts.
func (e *engine) finish() {
	for _, s := range e.servers {
		s.reweigh(e.end)
	}
}
