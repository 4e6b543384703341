package hotpathreceiver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/otel/attribute"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver/internal/metadata"
)

// hotpathReceiver owns the sources and the goroutine that collects from them.
type hotpathReceiver struct {
	cfg       *Config
	version   string
	logger    *zap.Logger
	telemetry telemetry
	obs       *receiverhelper.ObsReport
	next      consumer.Metrics
	sources   []namedSource // after Start, those that run

	cancel context.CancelFunc   // ends what the goroutine is doing
	stop   chan context.Context // tells it to end in order, for as long as the context allows
	done   chan error           // what it says at its end
	once   sync.Once
}

var _ receiver.Metrics = (*hotpathReceiver)(nil)

func newReceiver(
	cfg *Config, set receiver.Settings, next consumer.Metrics, openSources func(*Config, deps) ([]namedSource, error),
) (*hotpathReceiver, error) {
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverID: set.ID, ReceiverCreateSettings: set})
	if err != nil {
		return nil, fmt.Errorf("create obsreport: %w", err)
	}
	builder, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, fmt.Errorf("create telemetry: %w", err)
	}
	r := &hotpathReceiver{
		cfg:       cfg,
		version:   set.BuildInfo.Version,
		logger:    set.Logger,
		telemetry: telemetry{builder, attribute.String("receiver", set.ID.String())},
		obs:       obs,
		next:      next,
		stop:      make(chan context.Context, 1),
		done:      make(chan error, 1),
	}
	if r.sources, err = openSources(cfg, deps{set.Logger, sourceTelemetry{telemetry: r.telemetry}}); err != nil {
		builder.Shutdown()
		return nil, err
	}
	return r, nil
}

// Start implements [component.Component]. A source that can't start fails it unless the source is optional.
func (r *hotpathReceiver) Start(ctx context.Context, host component.Host) error {
	var running []namedSource
	var missing error
	for _, s := range r.sources {
		err := s.Start(ctx, host)
		switch {
		case err == nil:
			running = append(running, s)
		case s.optional:
			err = fmt.Errorf("start source %s: %w", s.name, err)
			r.logger.Warn("Going on without an optional source", zap.Error(err))
			missing = errors.Join(missing, err, s.Shutdown(ctx))
		default:
			return errors.Join(fmt.Errorf("start source %s: %w", s.name, err), s.Shutdown(ctx), shutdown(ctx, running))
		}
	}
	r.sources = running
	if missing != nil {
		componentstatus.ReportStatus(host, componentstatus.NewRecoverableErrorEvent(missing))
	}

	// The context of Start ends with Start.
	loopCtx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	c := &collector{
		hotpathReceiver: r,
		stages:          newStages(r.cfg, r.version, time.Now().UnixNano()),
		host:            host,
		degraded:        missing != nil,
	}
	go c.run(loopCtx)
	return nil
}

const (
	// grace is what a batch on its way and the last collection have in all: a backend may be down for good. What
	// isn't delivered by then stays with the processes, for the next run.
	grace = 5 * time.Second
	// farewell is how long after that the next component may take to heed its context.
	farewell = time.Second
)

// Shutdown implements [component.Component]. It collects once more, for as long as the context and grace allow, and
// waits until everything is released. Where the next component heeds no context, that
// goes on in the background as soon as it returns.
func (r *hotpathReceiver) Shutdown(ctx context.Context) error {
	var err error
	r.once.Do(func() {
		if r.cancel == nil { // never started
			err = shutdown(ctx, r.sources)
			r.telemetry.Shutdown()
			return
		}
		defer r.cancel()
		waiting, cancelWaiting := context.WithTimeout(ctx, grace+farewell)
		defer cancelWaiting()
		last, cancelLast := context.WithTimeout(waiting, grace)
		defer cancelLast()
		defer context.AfterFunc(last, r.cancel)() // ends the batch on its way
		r.stop <- last
		select {
		case err = <-r.done:
		case <-waiting.Done():
			err = fmt.Errorf("wait for the last collection: %w", waiting.Err())
		}
	})
	return err
}

func shutdown(ctx context.Context, sources []namedSource) error {
	var errs error
	for _, s := range sources {
		if err := s.Shutdown(ctx); err != nil {
			errs = errors.Join(errs, fmt.Errorf("shut down source %s: %w", s.name, err))
		}
	}
	return errs
}
