package userevents

import (
	"errors"
	"math"
	"os"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// binding is an enabled event and who gets it.
type binding struct {
	name     tracefs.Name
	id       uint16
	handlers []event.Handler

	nearLimit int  // bytes of a record
	warned    bool // that an event came near the limit

	// Who wrote it, as far as they are not known to have ended.
	last    int32
	writers map[int32]struct{}
	events  uint64
	known   uint64 // events at the last look
	quiet   time.Time
	backoff time.Duration
}

// unlimited is for events that may be as long as they like.
const unlimited = math.MaxInt

// nearLimit is where a record comes near what ftrace takes, in bytes: a page, less the headers of a sub-buffer and of two events. Larger
// sub-buffers don't change that (Linux 6.12: ring_buffer_lock_reserve, max_data_size).
func nearLimit() int {
	const headers = 24
	return (os.Getpagesize() - headers) * 7 / 8
}

func (t *trace) warnNearLimit(b *binding, size int) {
	if b.warned {
		return
	}
	b.warned = true
	t.logger.Warn("An event is nearly as long as the kernel takes; it drops longer ones without a word",
		zap.String("event", b.name.Event), zap.Int("size", size), zap.Int("limit", nearLimit()*8/7))
}

// maxWriters bounds how many writers of an event are remembered. Where there are more, an event is not quiet anyway.
const maxWriters = 256

func (b *binding) heard(tid int32) {
	b.last = tid
	if len(b.writers) < maxWriters {
		b.writers[tid] = struct{}{}
	}
}

// Times after which the collector finds out whether it is the only one who still has an event.
const (
	minQuiet = time.Second
	maxQuiet = 10 * time.Minute
	// silence is for events that nobody was ever heard to write.
	silence = time.Minute
)

// maxRelease is for how long events are tried in a row. Nothing else is read meanwhile, and no collection begins.
const maxRelease = 50 * time.Millisecond

// releaseOrphans lets go of events that nobody else has. To record an event keeps it alive, and as long
// as it lives, a program that declares it otherwise, the next version of its writer or another exporter, is refused. It takes
// no longer than maxRelease, a gap beside: where wildcards take in many events, the rest has its turn at another scan.
func (t *trace) releaseOrphans() error {
	now := time.Now()
	for _, b := range t.bound {
		if time.Since(now) > maxRelease {
			return nil
		}
		if !t.suspect(b, now) {
			continue
		}
		if err := t.try(b); err != nil {
			return err
		}
	}
	return nil
}

// suspect says whether an event is quiet and all who wrote it have ended.
func (t *trace) suspect(b *binding, now time.Time) bool {
	if t.registry.holds(b.name.Event) {
		return false
	}
	if b.events != b.known {
		b.known, b.quiet, b.backoff = b.events, now, minQuiet
		return false
	}
	if now.Sub(b.quiet) < b.backoff {
		return false
	}
	for tid := range b.writers {
		if _, err := os.Lstat("/proc/" + strconv.Itoa(int(tid))); err == nil {
			return false
		}
		delete(b.writers, tid)
	}
	return true
}

// try finds out whether an event goes when the collector lets go of it, for there is no other way to know. Others who have it
// could write into the gap of some milliseconds, but they have been quiet until now.
func (t *trace) try(b *binding) error {
	if err := t.drainAll(); err != nil {
		return err
	}
	if b.events != b.known {
		return nil
	}
	if err := t.instance.Disable(b.name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// What was written until then, before its number can be another's.
	if err := t.drainAll(); err != nil {
		return err
	}
	t.forget(b)
	for wait := time.Millisecond; wait <= maxGap; wait *= 2 {
		time.Sleep(wait) // the kernel deletes it in a work queue
		if _, err := t.instance.Format(b.name); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	t.consider(b.name)
	if again := t.bound[b.name]; again != nil {
		again.quiet, again.backoff = time.Now(), min(2*b.backoff, maxQuiet)
	}
	return nil
}

// maxGap is about half the longest time for which an event that others have is not recorded.
const maxGap = 16 * time.Millisecond
