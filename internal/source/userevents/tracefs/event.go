package tracefs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Groups of user_events in tracefs: those with one format a name, and those with several (Linux 6.9), whose
// names the kernel completes by a dot and a hexadecimal number.
const (
	Group      = "user_events"
	GroupMulti = "user_events_multi"
)

var groups = []string{Group, GroupMulti}

// Name is an event's.
type Name struct{ Group, Event string }

// Names returns what an event may be that user_events_status shows by its name alone.
func Names(event string) []Name {
	if strings.ContainsRune(event, '/') || event == "." || event == ".." {
		return nil // no folder
	}
	if _, multi := Base(event); multi {
		return []Name{{GroupMulti, event}, {Group, event}}
	}
	return []Name{{Group, event}}
}

// Base is the name without what the kernel completes those of several formats by, and whether it is one.
func Base(event string) (base string, multi bool) {
	dot := strings.LastIndexByte(event, '.')
	if dot <= 0 || dot == len(event)-1 || strings.Trim(event[dot+1:], "0123456789abcdef") != "" {
		return event, false
	}
	return event[:dot], true
}

// Format returns the text that describes an event. It fails with [os.ErrNotExist] if there is no such event.
func (i *Instance) Format(n Name) ([]byte, error) {
	text, err := os.ReadFile(i.event(n, "format"))
	return text, missing(err)
}

// Enable has an event recorded, which keeps it alive with its id and fields. It fails with
// [os.ErrNotExist] if there is no such event any more.
func (i *Instance) Enable(n Name) error { return missing(put(i.event(n, "enable"), "1")) }

// Disable ends that. The kernel deletes the event soon after if nobody else has it.
func (i *Instance) Disable(n Name) error { return missing(put(i.event(n, "enable"), "0")) }

func (i *Instance) event(n Name, file string) string {
	return filepath.Join(i.path, "events", n.Group, n.Event, file)
}

// missing adds [os.ErrNotExist] to what tracefs says of an event that goes while its files are being opened.
func missing(err error) error {
	if err != nil && errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w: %w", os.ErrNotExist, err)
	}
	return err
}

// Enabled returns the user_events that the instance records.
func (i *Instance) Enabled() ([]Name, error) {
	text, err := os.ReadFile(filepath.Join(i.path, "set_event"))
	if err != nil {
		return nil, fmt.Errorf("list enabled events: %w", err)
	}
	var names []Name
	for line := range strings.Lines(string(text)) {
		group, event, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if ok && (group == Group || group == GroupMulti) {
			names = append(names, Name{group, event})
		}
	}
	return names, nil
}
