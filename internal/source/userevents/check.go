package userevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/emit"
	"github.com/hotpath-metrics/hotpath/internal/process"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/event"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/tracefs"
)

// Check does what Start does, in a trace instance of another name, and has an event of that name recorded and read back. It enables no
// other, so that no writer notices. The error is what Start says, or else what became of the event.
func Check(cfg Config, name string, logger *zap.Logger, telemetry receiver.EventTelemetry) error {
	table, err := process.NewTable(1)
	if err != nil {
		return fmt.Errorf("tell processes apart: %w", err)
	}
	defer table.Close()
	cfg.Instance, cfg.OTLP = name, false
	cfg.Events = mapping.Events{{Event: name, Fields: checkedFields}}
	in := &checked{name: name}
	t, err := openTrace(cfg, []ingest{in}, logger, telemetry)
	if err != nil {
		return err
	}
	err = in.write()
	if err == nil {
		err = t.drainAll()
	}
	if err == nil && !in.heard {
		err = errors.New("an event was written, and did not come out of the trace instance")
	}
	return errors.Join(err, t.registered(), t.close())
}

// registered says why hotpath's own event could not be registered, if it could not.
func (t *trace) registered() error {
	for _, d := range t.registry.declared {
		if !d.done {
			return fmt.Errorf("register event %s: %s", d.name(), d.error)
		}
	}
	return nil
}

// InUse is what Start says while another collector has the instance. It asks nobody but the kernel's list.
func InUse(cfg Config) error {
	root, err := tracefs.Find()
	if err != nil {
		return nil //nolint:nilerr // then nobody has it
	}
	path := root.Path(cfg.Instance)
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || segments.LockHolder(&st) == 0 {
		return nil
	}
	return tracefs.InUse(path)
}

const (
	checkedFields = "u64 n"
	checkedValue  = 0x1234_5678_9abc_def0
)

// checked is the ingest that waits for one event.
type checked struct {
	name  string
	field format.Field
	heard bool
}

func (c *checked) Matches(name string) bool { return name == c.name }

func (c *checked) Bind(f *format.Format) (event.Handler, error) {
	for _, field := range f.Fields {
		if field.Name == "n" {
			c.field = field
			return c, nil
		}
	}
	return nil, fmt.Errorf("the kernel made the fields %q of %q", f.Fields.String(), checkedFields)
}

// Handle takes the event.
func (c *checked) Handle(e *event.Event) {
	at := c.field.Offset
	c.heard = c.heard || len(e.Record) >= at+8 && binary.NativeEndian.Uint64(e.Record[at:]) == checkedValue
}

func (*checked) Collect(emit.Sink) {}
func (*checked) Commit()           {}

// write writes the event, as a program does.
func (c *checked) write() error {
	fd, err := userevent.Open()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	enabled := new(uint32)
	index, err := userevent.Register(fd, unsafe.Pointer(enabled), 0, 4, 0, c.name+" "+checkedFields)
	if err != nil {
		return err
	}
	record := binary.NativeEndian.AppendUint32(nil, index)
	record = binary.NativeEndian.AppendUint64(record, checkedValue)
	if _, err = unix.Write(fd, record); err != nil {
		err = fmt.Errorf("write an event: %w", err)
	}
	err = errors.Join(err, userevent.Unregister(fd, unsafe.Pointer(enabled), 0))
	runtime.KeepAlive(enabled)
	return err
}
