// Package probe makes metrics of what programs do that nobody changed: BPF programs (probe.bpf.c) count where functions and tracepoints
// are hit. Configuration becomes the constants of those programs (plan.go), which are loaded (load.go) and put into the files that
// there are (find.go, attach.go). What they counted is read at each collection (read.go), or comes as events (events.go), and either becomes
// measurements of processes (process.go).
package probe

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/aggregate"
	"github.com/hotpath-metrics/hotpath/internal/emit"
	processes "github.com/hotpath-metrics/hotpath/internal/process"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
)

// Limits bound what processes can make the collector hold. Each is positive.
type Limits struct {
	// Processes is how many are told apart at most.
	Processes int
	// Series of all probes, and of the processes of one user.
	Series, SeriesPerUID int
}

var errStopped = errors.New("probes are not started")

// Source implements the interface of package internal/source.
type Source struct {
	configs  Configs
	optional bool
	limits   Limits
	logger   *zap.Logger
	tel      receiver.EventTelemetry

	reading sync.WaitGroup
	drained chan struct{} // tells that everything is read that was there when a collection began

	mu        sync.Mutex // guards all below: events come in between
	running   bool
	started   int64 // UNIX nanoseconds
	common    *common
	probes    []*probe
	table     *aggregate.Measurements
	processes map[processesProcessId]*process
	lastID    processesProcessId // that was asked for, with last
	last      *process
	folding   bool // was logged
	found     time.Time
	missing   error // what keeps probes from where they are to go
	lost      []uint64
	undrained int   // bytes that a collection waits for
	crowded   bool  // there was no room for a process since the last collection
	read      int64 // events since the last collection
	skips     map[string]int64
}

// probe is one of the configuration.
type probe struct {
	cfg          *Config
	number       int
	keys         []string
	fixed        probeConfig
	rewritesNops bool // does the kernel
	loaded       *loaded
	stream       *aggregate.Stream
	overflow     *aggregate.Stream // what the kernel has folded
	reader       *reader
	files        map[fileID]*attached
	current      map[fileID]struct{} // that its path leads to
	refused      map[fileID]refusal
	next         string // the path at which its next look goes on, if the last took too long
	crowded      bool   // as many files were refused as are remembered
	full         bool   // has as many files as it may
	noCgroup     bool   // were logged, as is the next
	noFile       bool
	skipped      [len(reasons)]uint64
	missed       uint64
	swept        time.Time // calls, of those that ended in them
}

// New returns a source for a valid configuration that does nothing until Start. One that is optional starts where BPF can't be used, or
// a probe can't be attached.
func New(configs Configs, optional bool, limits Limits, logger *zap.Logger, telemetry receiver.EventTelemetry) *Source {
	return &Source{configs: configs, optional: optional, limits: limits, logger: logger, tel: telemetry}
}

// Start loads the programs, and attaches them to the files that there are.
func (s *Source) Start(context.Context, component.Host) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset()
	if err := errors.Join(s.enter(), s.missing); err != nil && !s.optional {
		return errors.Join(err, s.unload())
	}
	s.running = true
	return nil
}

func (s *Source) reset() {
	s.started = time.Now().UnixNano()
	s.table = aggregate.NewMeasurements(aggregate.MeasurementLimits{
		// As many again may have ended without having been delivered.
		Processes: 2 * s.limits.Processes, Series: s.limits.Series, SeriesPerUID: s.limits.SeriesPerUID,
	})
	s.processes, s.last, s.skips = map[processesProcessId]*process{}, nil, map[string]int64{}
}

// enter has the kernel run the programs. What keeps single probes from their places is in missing then.
func (s *Source) enter() error {
	if err := processes.CheckNamespace(); err != nil {
		return fmt.Errorf("find processes: %w", err)
	}
	if err := s.load(); err != nil {
		return errors.Join(err, s.unload())
	}
	s.lost = nil
	s.found, s.missing = time.Now(), s.find()
	if c := s.common; c.reader != nil {
		s.drained, s.undrained = make(chan struct{}, 1), 0
		s.reading.Go(func() { s.listen(c) })
	}
	return nil
}

func (s *Source) load() error {
	k, err := inspect()
	if err != nil {
		return explainLoad(err)
	}
	events := false
	for i := range s.configs {
		events = events || s.configs[i].Mode == modeEvents
	}
	if s.common, err = loadCommon(k, s.limits.Processes, events); err != nil {
		return explainLoad(err)
	}
	for i := range s.configs {
		p, err := s.newProbe(i)
		if err != nil {
			return fmt.Errorf("probes::%d: %w", i, explainLoad(err))
		}
		s.probes = append(s.probes, p)
	}
	return nil
}

func (s *Source) newProbe(number int) (*probe, error) {
	c := &s.configs[number]
	in := c.Metric.Instrument(c.fractional())
	p := &probe{
		cfg: c, number: number, keys: c.keys(), fixed: fixed(c, number, s.limits.Processes), rewritesNops: s.common.rewritesNops,
		stream:   s.table.Stream(in, c.keys(), c.scale()),
		overflow: s.table.Stream(in, []string{overflowKey}, c.scale()),
		files:    map[fileID]*attached{}, current: map[fileID]struct{}{}, refused: map[fileID]refusal{}, swept: time.Now(),
	}
	var err error
	if p.loaded, err = s.common.load(p); err != nil {
		return nil, err
	}
	p.reader, err = newReader(p)
	return p, err
}

// Collect hands over every process.
func (s *Source) Collect(_ context.Context, sink emit.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return errStopped
	}
	if s.common == nil {
		if err := s.enter(); err != nil {
			return err
		}
	}
	if time.Since(s.found) >= findEvery {
		s.found, s.missing = time.Now(), s.find()
	}
	s.crowded = false
	ended, err := s.readProcesses() // first: what is read of those afterwards is final
	c := s.common
	s.mu.Unlock()
	s.drain()
	s.mu.Lock()
	if s.common != c {
		return errStopped
	}
	if err == nil {
		err = s.readAll(ended) // after an error the ends come with the next collection
	}
	err = errors.Join(s.missing, err, s.countLost())
	s.table.Collect(sink, time.Now().UnixNano())
	s.report()
	return err
}

func (s *Source) report() {
	if s.read > 0 {
		s.tel.EventsRead(s.read)
		s.read = 0
	}
	for reason, n := range s.skips {
		s.tel.EventsSkipped(reason, n)
	}
	clear(s.skips)
	if s.table.Folded() && !s.folding {
		s.folding = true
		s.logger.Warn("Probes have more series than the limits allow; the rest goes into series with otel.metric.overflow")
	}
}

// Commit says that what the last Collect handed over was accepted.
func (s *Source) Commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table.Commit()
}

// Shutdown takes the probes out.
func (s *Source) Shutdown(context.Context) error {
	s.mu.Lock()
	s.running = false
	err := s.unload()
	s.mu.Unlock()
	s.reading.Wait()
	return err
}

func (s *Source) unload() error {
	var errs []error
	for _, p := range s.probes {
		for _, a := range p.files {
			errs = append(errs, a.close())
		}
		errs = append(errs, p.loaded.close())
	}
	s.probes = nil
	if s.common != nil {
		errs = append(errs, s.common.close())
		s.common = nil
	}
	return errors.Join(errs...)
}
