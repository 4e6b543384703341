package dump

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/cmd/hotpath/internal/screen"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/segment"
)

type jsonDump struct {
	File            jsonFile       `json:"file"`
	Writer          *jsonWriter    `json:"writer,omitempty"`
	Header          map[string]any `json:"header,omitempty"`
	Resource        map[string]any `json:"resource"`
	Series          []jsonSeries   `json:"series"`
	Rings           []Ring         `json:"measurement_rings,omitempty"`
	Inconsistencies []Fault        `json:"inconsistencies"`
	Remarks         []string       `json:"remarks,omitempty"`
	Collector       Verdict        `json:"collector"`
}

type jsonFile struct {
	Path      string `json:"path"`
	Size      int64  `json:"size"`
	Allocated int64  `json:"allocated"`
	Mode      string `json:"mode"`
	Owner     uint32 `json:"owner_uid"`
	Memfd     string `json:"memfd,omitempty"`
}

type jsonWriter struct {
	Live bool `json:"live"`
	PID  int  `json:"pid,omitempty"`
}

type jsonSeries struct {
	Name        string         `json:"name"`
	Kind        string         `json:"kind"`
	Unit        string         `json:"unit"`
	Description string         `json:"description,omitempty"`
	Attributes  map[string]any `json:"attributes"`
	Overflow    bool           `json:"overflow,omitempty"`
	Slot        uint64         `json:"slot"`
	Record      jsonRecord     `json:"record"`
	Value       any            `json:"value,omitempty"`
	Stripes     []any          `json:"stripes,omitempty"`
}

type jsonRecord struct {
	Offset int64 `json:"offset"`
	Size   int   `json:"size"`
}

type jsonHistogram struct {
	Count   uint64       `json:"count"`
	Sum     any          `json:"sum"`
	Zero    uint64       `json:"zero_count"`
	Clamped uint64       `json:"clamped"`
	Buckets []jsonBucket `json:"buckets"`
}

type jsonBucket struct {
	Index int     `json:"index"`
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
	Count uint64  `json:"count"`
}

func writeJSON(w io.Writer, d *Dump, stripes bool) error {
	st := &d.file.stat
	out := jsonDump{
		File:     jsonFile{d.file.path, st.Size, st.Blocks * 512, fmt.Sprintf("%04o", st.Mode&0o7777), st.Uid, d.file.memo},
		Resource: map[string]any{}, Series: []jsonSeries{},
		Inconsistencies: append([]Fault{}, d.Faults...), Rings: d.Rings, Remarks: d.Remarks, Collector: d.Verdict,
	}
	if d.Writer != nil {
		out.Writer = &jsonWriter{d.Writer.Live, d.Writer.PID}
	}
	if segment.HasMagic(d.Head) && len(d.Head) == layout.HeaderSize {
		out.Header = headerJSON(d.Head)
	}
	for i := range d.Records {
		r := &d.Records[i]
		if r.Kind == layout.KindResource {
			out.Resource = screen.AttributeMap(r.Attributes)
			continue
		}
		out.Series = append(out.Series, seriesJSON(r, d.value(i), stripes))
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return fmt.Errorf("encode dump: %w", err)
	}
	_, err = w.Write(append(screen.EscapeJSON(b), '\n'))
	return err
}

func headerJSON(head []byte) map[string]any {
	m := map[string]any{}
	for i := range fields {
		f := &fields[i]
		switch f.name {
		case "instance", "segment_id":
			m[f.name] = f.text(head)
		case "start_time":
			m[f.name] = time.Unix(0, int64(f.number(head))).UTC()
		default:
			m[f.name] = f.number(head)
		}
	}
	return m
}

func seriesJSON(r *Record, v Value, stripes bool) jsonSeries {
	s := jsonSeries{
		Name: r.Name, Kind: kindName(r.Kind), Unit: r.Unit, Description: r.Description, Attributes: screen.AttributeMap(r.Attributes),
		Overflow: r.Flags&layout.FlagOverflow != 0, Slot: r.Slot, Record: jsonRecord{r.Offset, r.Size},
	}
	if v.Sum == nil {
		return s
	}
	s.Value = valueJSON(emit.Kind(r.Kind), v.Sum)
	if stripes {
		for _, words := range v.Stripes {
			s.Stripes = append(s.Stripes, valueJSON(emit.Kind(r.Kind), words))
		}
	}
	return s
}

func valueJSON(kind emit.Kind, words []uint64) any {
	switch kind {
	case emit.KindUpDownCounter:
		return int64(words[0])
	case emit.KindGauge:
		if words[0] == layout.GaugeUnset {
			return nil
		}
		return screen.Finite(math.Float64frombits(words[0]))
	case emit.KindHistogram:
		h := histogramOf(words)
		out := jsonHistogram{h.count, screen.Finite(h.sum), h.zero, h.clamped, []jsonBucket{}}
		for i, n := range words[layout.HistogramFirstBucket:] {
			if n > 0 {
				lower, upper := bounds(i)
				out.Buckets = append(out.Buckets, jsonBucket{layout.HistogramOffset + i, lower, upper, n})
			}
		}
		return out
	}
	return words[0]
}
