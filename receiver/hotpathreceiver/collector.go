package hotpathreceiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

// secondCollection comes early, for people who wait to see something: the first may find no processes yet.
const secondCollection = time.Second

// collector is the receiver's goroutine.
type collector struct {
	*hotpathReceiver
	stages *stages
	host   component.Host

	degraded bool  // a source is missing for good
	failure  error // of the sources in the last collection
	refusals refusals
}

// run collects at once, so that deltas and services count on from here, then in each
// interval until it is told to stop, and then a last time.
func (c *collector) run(ctx context.Context) {
	c.collect(ctx)
	ticker := time.NewTicker(min(secondCollection, c.cfg.CollectionInterval))
	defer ticker.Stop()
	early := true
	for {
		select {
		case <-ticker.C:
			if early {
				ticker.Reset(c.cfg.CollectionInterval)
				early = false
			}
			c.collect(ctx)
		case last := <-c.stop:
			c.done <- c.finish(last)
			return
		}
	}
}

// finish collects a last time, and again if that brought the last values of processes, whose end
// is still to be told. Then it releases everything.
func (c *collector) finish(ctx context.Context) error {
	if finals := c.collect(ctx); finals {
		time.Sleep(time.Millisecond) // backends keep milliseconds: an end at the time of the last value would be lost
		c.collect(ctx)
	}
	err := shutdown(ctx, c.sources)
	c.telemetry.Shutdown()
	return err
}

// collect reads all sources and delivers what they have. It reports whether last values of
// processes were among what was accepted.
func (c *collector) collect(ctx context.Context) (finals bool) {
	if ctx.Err() != nil {
		return false
	}
	began := time.Now()
	defer func() { c.telemetry.collected(time.Since(began)) }()

	c.stages.begin(began.UnixNano())
	sink := &observer{Sink: c.stages.head}
	var failure error
	for _, s := range c.sources {
		if err := s.Collect(ctx, sink); err != nil {
			failure = errors.Join(failure, fmt.Errorf("collect from source %s: %w", s.name, err))
		}
	}
	c.report(failure)

	if !c.deliver(ctx) {
		return false
	}
	c.stages.commit()
	for _, s := range c.sources {
		s.Commit()
	}
	return sink.finals
}

// report tells the Collector when the sources begin to fail, and when they are well again.
func (c *collector) report(failure error) {
	was := c.failure
	c.failure = failure
	switch {
	case failure != nil && was == nil:
		c.logger.Warn("Cannot collect from a source; it is tried again at each collection", zap.Error(failure))
		if !c.degraded {
			componentstatus.ReportStatus(c.host, componentstatus.NewRecoverableErrorEvent(failure))
		}
	case failure == nil && was != nil:
		c.logger.Info("Collection works again")
		if !c.degraded {
			componentstatus.ReportStatus(c.host, componentstatus.NewEvent(componentstatus.StatusOK))
		}
	}
}

// observer watches for processes that end.
type observer struct {
	emit.Sink
	finals bool
}

func (o *observer) Process(p *emit.Process) {
	o.finals = o.finals || p.State == emit.Final
	o.Sink.Process(p)
}
