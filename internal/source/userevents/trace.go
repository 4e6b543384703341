package userevents

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/page"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// trace is the trace instance in use, and who gets what is recorded in it.
type trace struct {
	cfg     Config
	ingests []ingest
	logger  *zap.Logger
	tel     receiver.EventTelemetry

	instance *tracefs.Instance
	status   *tracefs.Status
	poll     *tracefs.Poll
	registry *registry

	cpus   []*cpu // those that have a buffer
	absent []*cpu // those that were never online
	online string // as the kernel says it, when absent ones were last looked for
	clock  tracefs.Clock
	buffer []byte // a sub-buffer
	page   page.Page
	broken bool // a sub-buffer that makes no sense was logged

	bound   map[tracefs.Name]*binding
	byID    []*binding // by number of the format
	refused map[tracefs.Name]string
	scanned time.Time
	wait    time.Duration // until the next scan
}

// cpu is the buffer of a CPU and how much of its loss was reported.
type cpu struct {
	*tracefs.CPU
	lost uint64
}

// openTrace opens all, enables the events that there are, and reads what an earlier collector left behind.
func openTrace(cfg Config, ingests []ingest, logger *zap.Logger, tel receiver.EventTelemetry) (*trace, error) {
	root, err := tracefs.Find()
	if err != nil {
		return nil, err
	}
	t := &trace{
		cfg: cfg, ingests: ingests, logger: logger, tel: tel,
		bound: map[tracefs.Name]*binding{}, refused: map[tracefs.Name]string{},
	}
	if t.instance, err = root.Open(cfg.Instance, cfg.BufferSizeKB); err != nil {
		return nil, err
	}
	if err := t.open(root); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

func (t *trace) open(root tracefs.Root) (err error) {
	t.buffer = make([]byte, t.instance.SubBufferSize)
	if t.poll, err = tracefs.NewPoll(); err != nil {
		return err
	}
	if t.status, err = root.Status(); err != nil {
		return err
	}
	cpus, err := t.instance.CPUs()
	if err != nil {
		return err
	}
	for _, c := range cpus {
		t.absent = append(t.absent, &cpu{CPU: c})
	}
	if t.registry, err = newRegistry(t.cfg.Events); err != nil {
		return err
	}
	if t.instance.Stale {
		if err := t.inherit(); err != nil {
			return err
		}
	}
	if err := t.scan(); err != nil {
		return err
	}
	return t.drainAll()
}

// inherit takes over what an earlier collector enabled, with the events recorded since. Loss counts from now on.
func (t *trace) inherit() error {
	names, err := t.instance.Enabled()
	if err != nil {
		return err
	}
	for _, n := range names {
		if t.matches(n.Event) {
			t.consider(n)
		}
		if t.bound[n] == nil {
			// Its format may be gone soon, and with it the meaning of its number.
			if err := t.instance.Disable(n); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("disable event %s: %w", n.Event, err)
			}
		}
	}
	var lost uint64
	for _, c := range t.absent {
		if c.lost, err = c.Lost(); err != nil {
			return err
		}
		lost += c.lost
	}
	t.logger.Info("Took over the trace instance of an earlier collector, with the events since",
		zap.String("instance", t.cfg.Instance), zap.Int("enabled", len(t.bound)), zap.Uint64("lost_until_now", lost))
	return nil
}

// close gives everything back and removes the instance.
func (t *trace) close() error {
	for _, c := range append(t.cpus, t.absent...) {
		c.Close()
	}
	if t.poll != nil {
		t.poll.Close()
	}
	if t.status != nil {
		t.status.Close()
	}
	err := t.instance.Close()
	if t.registry != nil {
		t.registry.close() // last: as long as an event exists, its number is not given to another
	}
	return err
}
