package hotpathreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.uber.org/zap"
)

// What is refused for good is given up after this many times in a row and this long: its cause may be one client's
// data, which would keep back everything else. It may also be a configuration that people need time to mend.
const (
	maxRefusals = 10
	minRefusing = time.Hour
)

// refusals are the next component's answers since it last accepted a batch.
type refusals struct {
	ongoing bool
	forGood int       // permanent ones in a row
	since   time.Time // of the first of these
}

// add reports whether it was refused for good too often.
func (r *refusals) add(err error, now time.Time) (enough bool) {
	r.ongoing = true
	if !consumererror.IsPermanent(err) {
		r.forGood = 0
		return false
	}
	if r.forGood == 0 {
		r.since = now
	}
	r.forGood++
	return r.forGood >= maxRefusals && now.Sub(r.since) >= minRefusing
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

	was := c.refusals.ongoing
	switch {
	case err == nil:
		if was {
			c.logger.Info("Metrics are accepted again")
		}
		c.refusals = refusals{}
		return true
	case c.refusals.add(err, time.Now()):
		c.telemetry.pointsDropped(points)
		c.logger.Error("Metrics were refused for good too often and are dropped",
			zap.Int("points", points), zap.Int("times", c.refusals.forGood), zap.Time("since", c.refusals.since), zap.Error(err))
		c.refusals.forGood = 0
		return true
	default:
		level := zap.WarnLevel
		if was {
			level = zap.DebugLevel
		}
		c.logger.Log(level, "Metrics were refused; they stay for the next collection", zap.Int("points", points), zap.Error(err))
		return false
	}
}
