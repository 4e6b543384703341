package top

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/reading"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

type jsonReading struct {
	Time      time.Time     `json:"time"`
	Interval  float64       `json:"interval_seconds"`
	Notes     []string      `json:"notes,omitempty"`
	Processes []jsonProcess `json:"processes"`
}

type jsonProcess struct {
	Service  string         `json:"service"`
	Command  string         `json:"command"`
	PID      int64          `json:"pid"`
	Owner    uint32         `json:"owner_uid"`
	Start    time.Time      `json:"start_time"`
	State    string         `json:"state"`
	Resource map[string]any `json:"resource"`
	Series   []jsonSeries   `json:"series"`
}

type jsonSeries struct {
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Unit       string         `json:"unit"`
	Attributes map[string]any `json:"attributes"`
	Value      any            `json:"value,omitempty"`
	*jsonHistogram
	Rate *float64 `json:"rate,omitempty"`
}

type jsonHistogram struct {
	Count     uint64   `json:"count"`
	Sum       any      `json:"sum"`
	ZeroCount uint64   `json:"zero_count"`
	Scale     int      `json:"scale"`
	Offset    int      `json:"offset"`
	Buckets   []uint64 `json:"buckets"`
	P50       *float64 `json:"p50,omitempty"`
	P90       *float64 `json:"p90,omitempty"`
	P99       *float64 `json:"p99,omitempty"`
}

// writeJSON writes a reading on one line.
func writeJSON(w io.Writer, r *reading.Reading, f filter) error {
	out := jsonReading{Time: r.Time.UTC(), Interval: r.Interval.Seconds(), Notes: r.Notes, Processes: []jsonProcess{}}
	for i := range r.Processes {
		p := &r.Processes[i]
		rest := f.of(p)
		process := jsonProcess{
			Service: p.Service, Command: p.Command, PID: p.PID, Owner: p.Owner, Start: p.Start, State: state(p),
			Resource: screen.AttributeMap(p.Resource), Series: []jsonSeries{},
		}
		for j := range p.Series {
			if s := &p.Series[j]; rest.matches(s) {
				process.Series = append(process.Series, seriesJSON(s))
			}
		}
		if len(process.Series) > 0 {
			out.Processes = append(out.Processes, process)
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return fmt.Errorf("encode reading: %w", err)
	}
	_, err = w.Write(append(screen.EscapeJSON(b), '\n'))
	return err
}

func state(p *reading.Process) string {
	if p.Ended {
		return "ended"
	}
	return "live"
}

func seriesJSON(s *reading.Series) jsonSeries {
	out := jsonSeries{
		Name: s.Instrument.Name, Kind: kinds[s.Instrument.Kind], Unit: s.Instrument.Unit, Attributes: screen.AttributeMap(s.Attributes),
	}
	if s.HasRate {
		out.Rate = finite(s.Rate)
	}
	if s.Instrument.Kind == emit.KindHistogram {
		h := &s.Records
		out.jsonHistogram = &jsonHistogram{
			Count: s.Counter, Sum: screen.Finite(h.Sum), ZeroCount: h.ZeroCount, Scale: segment.HistogramScale, Offset: h.Offset, Buckets: h.Buckets,
			P50: finite(h.Percentiles.P50), P90: finite(h.Percentiles.P90), P99: finite(h.Percentiles.P99),
		}
		return out
	}
	out.Value = value(s)
	return out
}

// value is that of a counter, updowncounter or gauge, exactly.
func value(s *reading.Series) any {
	switch {
	case s.Double():
		return screen.Finite(s.Number)
	case s.Instrument.Kind == emit.KindUpDownCounter:
		return json.Number(strconv.FormatInt(s.Integer, 10))
	default:
		return json.Number(strconv.FormatUint(s.Counter, 10))
	}
}

func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
