package userevents

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"

	"github.com/hotpath-metrics/hotpath/internal/source/userevents/mapping"
)

// registry holds the events that are registered beforehand, so that their first words are heard, for as long as it is open.
type registry struct {
	fd       int
	declared []*declared
}

// declared is an event as it is to be registered.
type declared struct {
	text  string // "my_event u32 worker; u64 n"
	done  bool
	error string // why it is not, as it was logged
}

func (d *declared) name() string {
	name, _, _ := strings.Cut(d.text, " ")
	return name
}

func newRegistry(events mapping.Events) (*registry, error) {
	fd, err := userevent.Open()
	if err != nil {
		return nil, err
	}
	r := &registry{fd: fd, declared: []*declared{{text: userevent.Declaration}}}
	for _, text := range events.Declarations() {
		r.declared = append(r.declared, &declared{text: text})
	}
	return r, nil
}

// holds says whether the event of a name is registered here.
func (r *registry) holds(name string) bool {
	for _, d := range r.declared {
		if d.done && d.name() == name {
			return true
		}
	}
	return false
}

// complete says whether all is registered.
func (r *registry) complete() bool {
	for _, d := range r.declared {
		if !d.done {
			return false
		}
	}
	return true
}

// register registers what isn't yet, and calls failed with what cannot be.
func (r *registry) register(failed func(*declared, error)) {
	for _, d := range r.declared {
		if d.done {
			continue
		}
		if err := hold(r.fd, d.text); err != nil {
			failed(d, err)
			continue
		}
		d.done = true
	}
}

// hold registers an event for as long as fd is open. The kernel wants a bit to tell who listens, which would keep the event
// for as long as this process lives: it is taken back at once, by the only thread that surely may.
func hold(fd int, declaration string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	enabled := new(uint32)
	defer runtime.KeepAlive(enabled)
	if _, err := userevent.Register(fd, unsafe.Pointer(enabled), 0, 4, 0, declaration); err != nil {
		return err
	}
	if err := userevent.Unregister(fd, unsafe.Pointer(enabled), 0); err != nil {
		return fmt.Errorf("give back the enable bit: %w", err)
	}
	return nil
}

func (r *registry) close() { unix.Close(r.fd) }

// conflict says whether an event could not be registered because it exists otherwise.
func conflict(err error) bool { return errors.Is(err, userevent.ErrDeclared) }
