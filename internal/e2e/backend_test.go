package e2e

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// verdict is a backend's answer to a request.
type verdict int

const (
	accept  verdict = http.StatusOK
	busy    verdict = http.StatusServiceUnavailable // to be tried again
	invalid verdict = http.StatusBadRequest         // refused for good
	reset   verdict = -1                            // the connection breaks
)

// eachSeventh refuses each seventh request, in one way after the other.
func eachSeventh(request int) verdict {
	if request%7 != 0 {
		return accept
	}
	return []verdict{busy, invalid, reset}[request/7%3]
}

// backend receives OTLP over HTTP and keeps the points of the requests that it accepts.
type backend struct {
	t      testing.TB
	server *httptest.Server

	mu       sync.Mutex
	judge    func(request int) verdict // gets the number of the request, from 1 on; nil accepts all
	requests int
	refused  int
	accepted []point
}

func startBackend(t testing.TB, judge func(request int) verdict) *backend {
	b := &backend{t: t, judge: judge}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

// endpoint takes metrics.
func (b *backend) endpoint() string { return b.server.URL + "/v1/metrics" }

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the Collector was killed while it wrote
	}
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalProto(body); err != nil || r.URL.Path != "/v1/metrics" {
		b.t.Errorf("backend got a bad request for %s: %v", r.URL, err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	points := pointsOf(request.Metrics())

	b.mu.Lock()
	b.requests++
	v := accept
	if b.judge != nil {
		v = b.judge(b.requests)
	}
	if v == accept {
		b.accepted = append(b.accepted, points...)
	} else {
		b.refused++
	}
	b.mu.Unlock()

	switch v {
	case accept:
		response, err := pmetricotlp.NewExportResponse().MarshalProto()
		if err != nil {
			b.t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(response)
	case reset:
		breakConnection(b.t, w)
	default:
		w.WriteHeader(int(v))
	}
}

func breakConnection(t testing.TB, w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// answer changes how requests are judged from now on; they are counted from 1 again.
func (b *backend) answer(judge func(request int) verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.judge, b.requests, b.refused = judge, 0, 0
}

func (b *backend) counts() (requests, refused int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests, b.refused
}

// points are those accepted so far, in the order of arrival, that are wanted.
func (b *backend) points(wanted func(*point) bool) []point {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []point
	for i := range b.accepted {
		if wanted(&b.accepted[i]) {
			found = append(found, b.accepted[i])
		}
	}
	return found
}

// last is the newest point with a value that is wanted.
func (b *backend) last(wanted func(*point) bool) (point, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range slices.Backward(b.accepted) {
		if !p.noValue && wanted(&p) {
			return p, true
		}
	}
	return point{}, false
}

// rounds waits until the Collector has delivered so many more times.
func (b *backend) rounds(n int) {
	b.t.Helper()
	before, _ := b.counts()
	eventually(b.t, time.Minute, "further delivery", func() bool {
		now, _ := b.counts()
		return now >= before+n
	})
}

// await waits until the newest value that is wanted has arrived.
func (b *backend) await(within time.Duration, what string, wanted func(*point) bool, holds func(point) bool) {
	b.t.Helper()
	eventually(b.t, within, what, func() bool {
		p, ok := b.last(wanted)
		return ok && holds(p)
	})
}
