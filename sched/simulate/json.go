package simulate

import (
	"encoding/json"
	"io"
	"time"
)

// The document of a result. Times are in seconds.
type resultDoc struct {
	Schema   string   `json:"schema"`
	Scenario Scenario `json:"scenario"`
	Runs     []runDoc `json:"runs"`
}

type runDoc struct {
	Scheduler   string       `json:"scheduler"`
	Feedback    Feedback     `json:"feedback"`
	Connections int          `json:"connections"`
	Answered    int          `json:"answered"`
	Refused     int          `json:"refused"`
	Broken      int          `json:"broken"`
	Returning   int          `json:"returning"`
	Moved       int          `json:"moved"`
	Latency     latencyDoc   `json:"latency_seconds"`
	Load        imbalanceDoc `json:"load_imbalance"`
	Share       imbalanceDoc `json:"share_imbalance"`
	Excess      *excessDoc   `json:"excess"`
	Servers     []tallyDoc   `json:"servers"`
	Series      seriesDoc    `json:"series"`
	Notes       []string     `json:"notes"`
}

type latencyDoc struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

type imbalanceDoc struct {
	MaxMean float64 `json:"max_mean"`
	CV      float64 `json:"cv"`
	Worst   float64 `json:"worst"`
	WorstAt float64 `json:"worst_at_seconds"`
}

type excessDoc struct {
	Server string  `json:"server"`
	From   float64 `json:"from_seconds"`
	For    float64 `json:"for_seconds"`
	Share  float64 `json:"share"`
	Fair   float64 `json:"fair_share"`
}

type tallyDoc struct {
	Name        string     `json:"name"`
	Connections int        `json:"connections"`
	Refused     int        `json:"refused"`
	Broken      int        `json:"broken"`
	Edits       int        `json:"edits"`
	MeanOpen    float64    `json:"mean_open"`
	PeakOpen    int        `json:"peak_open"`
	PeakRate    float64    `json:"peak_new_per_second"`
	Latency     latencyDoc `json:"latency_seconds"`
}

type seriesDoc struct {
	Window  float64           `json:"window_seconds"`
	P50     []float64         `json:"p50_seconds"`
	P99     []float64         `json:"p99_seconds"`
	Lost    []int             `json:"lost"`
	Servers []serverSeriesDoc `json:"servers"`
}

type serverSeriesDoc struct {
	Name    string `json:"name"`
	New     []int  `json:"new"`
	Open    []int  `json:"open"`
	Waiting []int  `json:"waiting"`
	Weight  []int  `json:"weight"`
}

// WriteJSON writes all of the result as one JSON document in one line, with
// the schema "lvskit.simulation/v1". Times are in seconds.
func (res *Result) WriteJSON(w io.Writer) error {
	doc := resultDoc{Schema: "lvskit.simulation/v1", Scenario: res.Scenario}
	for i := range res.Runs {
		doc.Runs = append(doc.Runs, res.Runs[i].doc())
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

func (r *Run) doc() runDoc {
	d := runDoc{
		Scheduler: r.Scheduler, Feedback: r.Feedback, Connections: r.Connections, Answered: r.Answered, Refused: r.Refused, Broken: r.Broken,
		Returning: r.Returning, Moved: r.Moved, Latency: r.Latency.doc(), Load: r.Load.doc(), Share: r.Share.doc(),
		Series: seriesDoc{Window: r.Series.Window.Seconds(), P50: seconds(r.Series.P50), P99: seconds(r.Series.P99), Lost: r.Series.Lost},
		Notes:  append([]string{}, r.Notes...),
	}
	if x := r.Excess; x.For > 0 {
		d.Excess = &excessDoc{x.Server, x.From.Seconds(), x.For.Seconds(), x.Share, x.Fair}
	}
	for _, t := range r.Servers {
		d.Servers = append(d.Servers, tallyDoc{t.Name, t.Connections, t.Refused, t.Broken, t.Edits, t.MeanOpen, t.PeakOpen, t.PeakRate, t.Latency.doc()})
	}
	for _, s := range r.Series.Servers {
		d.Series.Servers = append(d.Series.Servers, serverSeriesDoc(s))
	}
	return d
}

func (l Latency) doc() latencyDoc {
	return latencyDoc{l.Mean.Seconds(), l.P50.Seconds(), l.P90.Seconds(), l.P99.Seconds(), l.P999.Seconds(), l.Max.Seconds()}
}

func (i Imbalance) doc() imbalanceDoc {
	return imbalanceDoc{i.MaxMean, i.CV, i.Worst, i.WorstAt.Seconds()}
}

func seconds(times []time.Duration) []float64 {
	out := make([]float64, len(times))
	for i, t := range times {
		out[i] = t.Seconds()
	}
	return out
}
