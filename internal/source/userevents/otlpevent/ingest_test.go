package otlpevent_test

import (
	"encoding/binary"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	"github.com/hotpath-metrics/hotpath/internal/otlp"
	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/otlpevent"
)

type telemetry struct {
	source.EventTelemetry
	skipped map[string]int64
}

func (t telemetry) EventsSkipped(reason string, n int64) { t.skipped[reason] += n }

func newIngest() (*otlpevent.Ingest, telemetry) {
	tel := telemetry{skipped: map[string]int64{}}
	cfg := otlp.Config{PendingBytes: 1 << 20, MaxSeries: 100, Idle: time.Hour}
	return otlpevent.New(cfg, tel), tel
}

func golden(t *testing.T, name string) *format.Format {
	t.Helper()
	text, err := os.ReadFile("../format/testdata/" + name + ".format")
	if err != nil {
		t.Fatal(err)
	}
	f, err := format.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func bind(t *testing.T, in *otlpevent.Ingest, f *format.Format) event.Handler {
	t.Helper()
	h, err := in.Bind(f)
	if err != nil || h == nil {
		t.Fatalf("bind: %v, %v", h, err)
	}
	return h
}

// request has one point of the counter "n".
func request(value int64) []byte {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("n")
	m.SetEmptySum().DataPoints().AppendEmpty().SetIntValue(value)
	var marshaler pmetric.ProtoMarshaler
	b, err := marshaler.MarshalMetrics(md)
	if err != nil {
		panic(err)
	}
	return b
}

// record begins with the fields that all events have and is filled up to a whole word, with rubbish.
func record(payload ...[]byte) *event.Event {
	b := make([]byte, 8)
	for _, p := range payload {
		b = append(b, p...)
	}
	for len(b)%4 != 0 {
		b = append(b, 0xee)
	}
	return &event.Event{Record: b}
}

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func declared(protocol uint32, request []byte) *event.Event {
	return record(u32(protocol), []byte("v0.19.00"), u32(uint32(len(request))<<16), request)
}

func sized(size int32, request []byte) *event.Event { return record(u32(uint32(size)), request) }

func values(in *otlpevent.Ingest) (values []int64) {
	var recorder emittest.Recorder
	in.Collect(&recorder)
	if recorder.Foreign == (pmetric.Metrics{}) {
		return nil
	}
	for _, rm := range recorder.Foreign.ResourceMetrics().All() {
		for _, p := range rm.ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().All() {
			values = append(values, p.IntValue())
		}
	}
	return values
}

func TestBothLayoutsAreTaken(t *testing.T) {
	in, tel := newIngest()
	rust, cpp := bind(t, in, golden(t, "otlp_metrics")), bind(t, in, golden(t, "otlp_metrics_cpp"))
	for i := range int64(4) { // lengths that need each filling
		r := request(i)
		r = append(r, "\x7a\x03abc"[:5]...)[:len(r)]
		rust.Handle(declared(0, r))
		cpp.Handle(sized(int32(len(r)), r))
	}
	got := values(in)
	if len(got) != 8 || got[0] != 0 || got[7] != 3 || len(tel.skipped) > 0 {
		t.Errorf("collected %v, skipped %v", got, tel.skipped)
	}
	in.Commit()
	if got := values(in); len(got) > 0 {
		t.Errorf("collected %v after the commit", got)
	}
}

func TestWhatLiesBehindTheRequestIsNotRead(t *testing.T) {
	in, tel := newIngest()
	unknown := []byte{0x7a, 0x03, 'a', 'b', 'c', 'd'} // one byte more than the field has
	for cut := range 4 {
		r := append(request(1), unknown[:5]...)
		e := sized(int32(len(r)), append(r, make([]byte, cut)...))
		bind(t, in, golden(t, "otlp_metrics_cpp")).Handle(e)
	}
	if got := values(in); len(got) != 4 || len(tel.skipped) > 0 {
		t.Errorf("collected %v, skipped %v", got, tel.skipped)
	}
}

func TestSeveralFormatsOfTheNameAreTaken(t *testing.T) {
	in, _ := newIngest()
	f := golden(t, "otlp_metrics")
	f.Name = "otlp_metrics.1f"
	bind(t, in, f)
	f.Name = "otlp_metrics_more"
	if h, err := in.Bind(f); h != nil || err != nil {
		t.Errorf("%v, %v", h, err)
	}
}

func TestOtherFieldsAreNamed(t *testing.T) {
	in, _ := newIngest()
	for _, text := range []string{"u32 size", "u32 protocol; char[8] version; char[16] buffer", "char[4] protocol; __rel_loc u8[] buffer"} {
		fields, err := format.ParseFields(text)
		if err != nil {
			t.Fatal(err)
		}
		h, err := in.Bind(&format.Format{Name: "otlp_metrics", Fields: fields})
		if h != nil || err == nil || !strings.Contains(err.Error(), fields.String()) || !strings.Contains(err.Error(), "__rel_loc u8[] buffer") {
			t.Errorf("%s: %v, %v", text, h, err)
		}
	}
}

func TestBadEventsAreCountedByReason(t *testing.T) {
	in, tel := newIngest()
	rust, cpp := bind(t, in, golden(t, "otlp_metrics")), bind(t, in, golden(t, "otlp_metrics_cpp"))
	r := request(1)
	rust.Handle(declared(1, r))
	rust.Handle(record(u32(0), []byte("v0.19.00"), u32(uint32(len(r)+4)<<16), r))
	rust.Handle(record(u32(0), []byte("v0.19.00"), u32(uint32(len(r))<<16|0xffff), r))
	rust.Handle(record(u32(0), []byte("v0.")))
	rust.Handle(record())
	rust.Handle(&event.Event{})
	rust.Handle(declared(0, r[:len(r)-1]))
	cpp.Handle(sized(int32(len(r)+4), r))
	cpp.Handle(sized(-1, r))
	cpp.Handle(sized(int32(len(r))-1, r))
	cpp.Handle(record())
	cpp.Handle(&event.Event{})
	rust.Handle(declared(0, r))
	if got := values(in); len(got) != 1 {
		t.Errorf("collected %v", got)
	}
	want := map[string]int64{"otlp_protocol": 1, "otlp_malformed": 11}
	if !maps.Equal(tel.skipped, want) {
		t.Errorf("skipped %v, want %v", tel.skipped, want)
	}
}
