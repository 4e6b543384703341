package hotpathreceiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit"
)

const (
	// firstCollection comes early, for people who wait to see something.
	firstCollection = time.Second
	// maxRefusals bounds how long what is refused for good is kept: its cause
	// may be one client's data, which would keep back everything else.
	maxRefusals = 10
)

// collector is the receiver's goroutine.
type collector struct {
	*hotpathReceiver
	stages *stages
	host   component.Host

	degraded bool  // a source is missing for good
	failure  error // of the sources in the last collection
	refusals int   // permanent ones in a row
}

// run collects in each interval until it is told to stop, and then a last time.
func (c *collector) run(ctx context.Context) {
	ticker := time.NewTicker(min(firstCollection, c.cfg.CollectionInterval))
	defer ticker.Stop()
	first := true
	for {
		select {
		case <-ticker.C:
			if first {
				ticker.Reset(c.cfg.CollectionInterval)
				first = false
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

// deliver hands the batch on and reports whether it is done with. What was
// refused is collected again in the next interval, even if it was refused for good: the cause
// (a limit, a configuration) may pass, while what dead processes counted can't be had again.
func (c *collector) deliver(ctx context.Context) bool {
	batch, points := c.stages.end()
	if points == 0 {
		return true
	}
	opCtx := c.obs.StartMetricsOp(ctx)
	err := c.next.ConsumeMetrics(opCtx, batch)
	c.obs.EndMetricsOp(opCtx, "hotpath", points, err)

	if err == nil || !consumererror.IsPermanent(err) {
		c.refusals = 0
	} else {
		c.refusals++
	}
	switch {
	case err == nil:
		return true
	case c.refusals < maxRefusals:
		c.logger.Warn("Metrics were refused; they stay for the next collection", zap.Int("points", points), zap.Error(err))
		return false
	default:
		c.refusals = 0
		c.telemetry.pointsDropped(points)
		c.logger.Error("Metrics were refused for good too often and are dropped",
			zap.Int("points", points), zap.Int("times", maxRefusals), zap.Error(err))
		return true
	}
}

// report tells the Collector when the sources begin to fail, and when they are well again.
func (c *collector) report(failure error) {
	was := c.failure
	c.failure = failure
	switch {
	case failure != nil && was == nil:
		c.logger.Warn("Collection failed", zap.Error(failure))
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
