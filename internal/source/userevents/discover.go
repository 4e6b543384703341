package userevents

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// scanInterval is how often new events are looked for. A host with many makes it longer, up to maxInterval, so that to list
// them takes no more than one part in scanShare of a CPU.
const (
	scanInterval = time.Second
	maxInterval  = 10 * time.Second
	scanShare    = 100
	// maxLooks bounds how many events that did not fit are looked at again.
	maxLooks = 64
)

// scan registers what isn't yet, finds new events that an ingest takes, and lets go of those that only the collector has.
func (t *trace) scan() error {
	t.scanned = time.Now()
	t.registry.register(t.notRegistered)
	began := time.Now()
	changed, err := t.status.Read()
	if err != nil {
		return err
	}
	t.wait = min(max(scanInterval, time.Since(began)*scanShare), maxInterval)
	if changed {
		listed := map[tracefs.Name]struct{}{}
		for name := range t.status.Names() {
			if !t.matches(string(name)) {
				continue
			}
			for _, n := range tracefs.Names(string(name)) {
				listed[n] = struct{}{}
				if t.bound[n] == nil && t.refused[n] == "" {
					t.consider(n)
				}
			}
		}
		for n := range t.refused {
			if _, ok := listed[n]; !ok {
				delete(t.refused, n)
			}
		}
	}
	looks := 0
	for n := range t.refused {
		if looks++; looks > maxLooks {
			break // others have their turn another time: the order is random
		}
		t.consider(n) // it may have gone and come again in between, with other fields
	}
	return t.releaseOrphans()
}

func (t *trace) matches(name string) bool {
	for _, in := range t.ingests {
		if in.Matches(name) {
			return true
		}
	}
	return false
}

// consider enables an event if an ingest takes it.
func (t *trace) consider(n tracefs.Name) {
	text, err := t.instance.Format(n)
	if errors.Is(err, os.ErrNotExist) {
		delete(t.refused, n)
		return
	}
	if err == nil && t.refused[n] == string(text) {
		return
	}
	b := t.bind(n, text, err)
	if b == nil {
		return
	}
	t.assign(b)
	if err = t.instance.Enable(n); err == nil {
		// Until now, it could have gone and come again otherwise. From now on it can't.
		var now []byte
		if now, err = t.instance.Format(n); err == nil && string(now) != string(text) {
			t.forget(b)
			if b = t.bind(n, now, nil); b != nil {
				t.assign(b)
				return
			}
			err = t.instance.Disable(n)
		}
	}
	if err == nil {
		return
	}
	if b != nil {
		t.forget(b)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.refused[n] = string(text)
		t.logger.Error("Cannot enable an event", zap.String("event", n.Event), zap.Error(err))
	}
}

// bind asks the ingests for handlers. If there is none, it returns nil and notes that the event is refused.
func (t *trace) bind(n tracefs.Name, text []byte, err error) *binding {
	b := &binding{name: n, nearLimit: nearLimit(), writers: map[int32]struct{}{}, quiet: time.Now(), backoff: silence}
	var f *format.Format
	if err == nil {
		f, err = format.Parse(text)
	}
	if err == nil {
		b.id = f.ID
		for _, in := range t.ingests {
			if !in.Matches(n.Event) {
				continue
			}
			h, e := in.Bind(f)
			err = errors.Join(err, e)
			if h != nil {
				b.handlers = append(b.handlers, h)
			}
		}
	}
	if err != nil {
		t.logger.Error("Cannot use an event as it is configured; others go on", zap.String("event", n.Event), zap.Error(err))
	}
	if len(b.handlers) == 0 {
		t.refused[n] = string(text)
		return nil
	}
	delete(t.refused, n)
	if n.Event == userevent.Name {
		b.nearLimit = unlimited // its writers know the limit, and fill events up to it
	}
	return b
}

// assign makes b the one who gets the events of its format.
func (t *trace) assign(b *binding) {
	for int(b.id) >= len(t.byID) {
		t.byID = append(t.byID, nil)
	}
	t.byID[b.id] = b
	t.bound[b.name] = b
}

func (t *trace) forget(b *binding) {
	if t.byID[b.id] == b {
		t.byID[b.id] = nil
	}
	delete(t.bound, b.name)
}

// notRegistered tells once why an event cannot be registered.
func (t *trace) notRegistered(d *declared, err error) {
	if conflict(err) {
		if text, e := t.instance.Format(tracefs.Name{Group: tracefs.Group, Event: d.name()}); e == nil {
			if f, e := format.Parse(text); e == nil {
				err = fmt.Errorf("it exists with the fields %q, and cannot have %q: %w", f.Fields.String(), d.text[len(d.name())+1:], err)
			}
		}
	}
	if d.error == err.Error() {
		return
	}
	d.error = err.Error()
	t.logger.Error("Cannot register an event beforehand; what is written before it is found is not heard, and others go on",
		zap.String("event", d.name()), zap.Error(err))
}
