package doctor

import (
	"context"
	"errors"

	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/uring"
)

func checkUring(ctx context.Context, t *trial) (f findings) {
	cfg := *t.config.IOUring.GetOrInsertDefault()
	client := t.uringClient()
	if !t.asked {
		f.Client = &client
	}
	place, err := uring.Try(cfg, t.name+".sock")
	if err != nil {
		f.Source = Verdict{Reason: err.Error(), Fix: fixSocket(cfg.Socket, err)}
		return f
	}
	made := message{Shared: place.Made}
	t.leave(made)
	defer made.remove()
	if place.InUse != nil {
		f.Source.InUse = place.InUse.Error()
	}
	src := uring.New(place.Config, t.limits(), t.logger, source.Ignored{})
	if client.Available {
		err = t.arrive(ctx, src, uringName, "HOTPATH_SOCKET="+place.Socket)
	} else if err = errors.Join(src.Start(ctx, nil), src.Shutdown(ctx)); err == nil {
		// One that cannot have a ring would count elsewhere, where a Collector might hear of it.
		err = &silentError{client.Reason}
	}
	if err != nil {
		f.Source.Reason, f.Source.Fix = as(err, place.Socket, cfg.Socket), fixUring(cfg.Socket, err)
		return f
	}
	f.Source.Available, f.Source.Reason = true, "a count came from ring to ring"
	return f
}

// nowhere has a client find no Collector, and no directory.
const nowhere = "/proc/self/nowhere"

// uringClient tries whether a client can have rings. It finds nobody to tell.
func (t *trial) uringClient() Verdict {
	s, err := t.stand(uringName, "HOTPATH_SOCKET="+nowhere, "HOTPATH_DIR="+nowhere)
	if err != nil {
		return Verdict{Reason: err.Error()}
	}
	if !s.works {
		return Verdict{Reason: s.why, Fix: fixRings()}
	}
	return Verdict{Available: true, Reason: "can make rings, and tell a Collector by them"}
}
