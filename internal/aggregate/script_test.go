package aggregate

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// step is one collection of a test that reads like a script. Collections take
// place at 110, 120, 130 and so on.
//
// given names what sources hand over: "a requests=5 queue=-1 | b final requests=1 | c gone requests".
// want is what reaches the next stage, in the same words, with the resource's service.name and owner for
// the process and the start in brackets, or the interval where there is one. A series with a start of its own has it behind an @.
// "queue!" is a series that ended; queue=1 after that is another, equal to it.
type step struct {
	given   string
	want    string
	refused bool
}

// scene is the processes and series of one script.
type scene struct {
	processes map[string]*emit.Process
	series    map[string]*emit.Series // by process and name
	said      []string
}

// instruments are requests (counter), seconds (counter of fractions), queue (updowncounter), load (updowncounter
// of fractions), heat (gauge) and latency (histogram): latency=3 stands for three values of 1, and 3/9 for three values with the sum 9.
var instruments = map[string]*emit.Instrument{
	"requests": {Name: "requests", Kind: emit.KindCounter},
	"bytes":    {Name: "bytes", Kind: emit.KindCounter},
	"queue":    {Name: "queue", Kind: emit.KindUpDownCounter},
	"heat":     {Name: "heat", Kind: emit.KindGauge},
	"latency":  {Name: "latency", Kind: emit.KindHistogram},
	"seconds":  {Name: "seconds", Kind: emit.KindCounter, Double: true},
	"load":     {Name: "load", Kind: emit.KindUpDownCounter, Double: true},
}

const bucketOfOne = -1 - segment.HistogramOffset

func running(service string, owner uint32, start int64, more ...emit.Attribute) *emit.Process {
	return &emit.Process{
		Owner: owner,
		Start: start,
		Resource: append([]emit.Attribute{
			{Key: "process.pid", Type: emit.AttributeInt, Bits: uint64(start)},
			{Key: "service.instance.id", Type: emit.AttributeString, Str: strconv.Itoa(int(start))},
			{Key: "service.name", Type: emit.AttributeString, Str: service},
		}, more...),
	}
}

func seen(p *emit.Process) *emit.Process {
	p.Seen = true
	return p
}

// hand plays what sources do in one collection.
func (s *scene) hand(t *testing.T, to emit.Sink, given string) {
	for _, part := range strings.Split(given, "|") {
		words := strings.Fields(part)
		if len(words) == 0 {
			continue
		}
		name := words[0]
		p := s.processes[name]
		require.NotNil(t, p, "no process %s", name)
		p.State = emit.Live
		words = words[1:]
		if len(words) > 0 && (words[0] == "final" || words[0] == "gone") {
			p.State = map[string]emit.State{"final": emit.Final, "gone": emit.Gone}[words[0]]
			words = words[1:]
		}
		to.Process(p)
		for _, w := range words {
			key, value, _ := strings.Cut(w, "=")
			s.value(t, to, name, key, value)
		}
	}
}

func (s *scene) value(t *testing.T, to emit.Sink, process, key, value string) {
	key, ended := strings.CutSuffix(key, "!")
	series := s.series[process+key]
	if series == nil || series.Ended && !ended {
		// "requests:get" is the series of requests that has op=get.
		name, op, _ := strings.Cut(key, ":")
		series = &emit.Series{Instrument: instruments[name], ID: key}
		if op != "" {
			series.Attributes = []emit.Attribute{{Key: "op", Type: emit.AttributeString, Str: op}}
		}
		s.series[process+key] = series
	}
	series.Ended = ended
	value, sumText, hasSum := strings.Cut(value, "/")
	if value == "" {
		value = "0"
	}
	if series.Instrument.Double {
		v, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err)
		to.Sum(series, v)
		return
	}
	n, err := strconv.ParseInt(value, 10, 64)
	require.NoError(t, err)
	switch series.Instrument.Kind {
	case emit.KindCounter:
		to.Counter(series, uint64(n))
	case emit.KindUpDownCounter:
		to.UpDownCounter(series, n)
	case emit.KindGauge:
		to.Gauge(series, float64(n))
	case emit.KindHistogram:
		h := &emit.HistogramValue{Sum: float64(n), Buckets: new([segment.HistogramBuckets]uint64)}
		if hasSum {
			h.Sum, err = strconv.ParseFloat(sumText, 64)
			require.NoError(t, err)
		}
		h.Buckets[bucketOfOne] = uint64(n)
		to.Histogram(series, h)
	}
}

// The scene is the sink behind the stage: it writes down what it is told.

func (s *scene) Process(p *emit.Process) {
	who := ""
	for _, a := range p.Resource {
		switch a.Key {
		case "service.name":
			who = a.Str + who
		case ownerKey:
			who += fmt.Sprintf("/%d", a.Bits)
		}
	}
	switch {
	case p.State == emit.Gone:
		who += " gone"
	case p.Since != 0:
		who += fmt.Sprintf("[%d-%d]", p.Start, p.Since)
	default:
		who += fmt.Sprintf("[%d]", p.Start)
	}
	s.said = append(s.said, who)
}

func (s *scene) say(series *emit.Series, value any) {
	last := len(s.said) - 1
	s.said[last] += " " + series.ID
	if series.Start != 0 {
		s.said[last] += fmt.Sprintf("@%d", series.Start)
	}
	switch {
	case series.Ended:
		s.said[last] += "!"
	case !strings.Contains(s.said[last], " gone"):
		s.said[last] += fmt.Sprintf("=%v", value)
	}
}

func (s *scene) Counter(series *emit.Series, v uint64)      { s.say(series, v) }
func (s *scene) UpDownCounter(series *emit.Series, v int64) { s.say(series, v) }
func (s *scene) Gauge(series *emit.Series, v float64)       { s.say(series, v) }
func (s *scene) Sum(series *emit.Series, v float64)         { s.say(series, v) }
func (s *scene) Metrics(pmetric.ResourceMetrics)            { s.said = append(s.said, "otlp") }
func (s *scene) Histogram(series *emit.Series, v *emit.HistogramValue) {
	if n := v.Buckets[bucketOfOne]; float64(n) != v.Sum {
		s.say(series, fmt.Sprintf("%d/%v", n, v.Sum))
		return
	}
	s.say(series, v.Buckets[bucketOfOne])
}

// heard returns what was said since the last call, without processes that said nothing.
func (s *scene) heard() string {
	var parts []string
	for _, p := range s.said {
		if head, rest, ok := strings.Cut(p, " "); ok && rest != "gone" && head != "" {
			parts = append(parts, p)
		}
	}
	s.said = nil
	return strings.Join(parts, " | ")
}

// stage is what Fold and Delta have in common.
type stage interface {
	emit.Sink
	Commit()
}

func play(t *testing.T, processes map[string]*emit.Process, open func(next emit.Sink) (st stage, begin func(now int64), end func()), steps []step) {
	t.Helper()
	s := &scene{processes: processes, series: map[string]*emit.Series{}}
	st, begin, end := open(s)
	for i, step := range steps {
		now := int64(110 + 10*i)
		begin(now)
		s.hand(t, st, step.given)
		end()
		require.Equal(t, step.want, s.heard(), "collection at %d", now)
		if !step.refused {
			st.Commit()
		}
	}
}
