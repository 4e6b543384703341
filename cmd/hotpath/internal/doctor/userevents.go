package doctor

import (
	"context"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

func checkUserEvents(_ context.Context, t *trial) (f findings) {
	if !t.asked {
		c := t.userEventsClient()
		f.Client = &c
	}
	f.Source = t.userEventsSource(*t.config.UserEvents.GetOrInsertDefault())
	return f
}

// userEventsSource tries an event and a trace instance of the check's own.
func (t *trial) userEventsSource(cfg userevents.Config) (v Verdict) {
	name := strings.ReplaceAll(t.name, "-", "_")
	if root, err := tracefs.Find(); err == nil {
		t.leave(message{Leaves: []string{root.Path(name)}})
	}
	err := userevents.Check(cfg, name, t.logger, source.Ignored{})
	if inUse := userevents.InUse(cfg); inUse != nil {
		v.InUse = inUse.Error()
	}
	if err != nil {
		v.Reason, v.Fix = as(err, name, cfg.Instance), fixUserEvents(err)
		return v
	}
	v.Available, v.Reason = true, "an event came through a trace instance"
	return v
}

func (t *trial) userEventsClient() Verdict {
	s, err := t.stand(userEventsName)
	if err != nil {
		return Verdict{Reason: err.Error()}
	}
	if !s.works {
		why := strings.TrimPrefix(s.why, userEventsName+": ")
		return Verdict{Reason: why, Fix: fixUserEventsClient(why)}
	}
	return Verdict{Available: true, Reason: "registers its event, and writes while a Collector listens"}
}
