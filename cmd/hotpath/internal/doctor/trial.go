package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver"
)

// trial is one check under way: its own process makes it, so that it can hang or crash without the others.
type trial struct {
	// name is that of everything that the check makes, and no other check.
	name string
	// directory is where clients put segments.
	directory string
	config    *hotpathreceiver.Config
	// asked says that the configuration is a Collector's, and not the default one.
	asked    bool
	patience time.Duration
	leave    func(message)

	logger   *zap.Logger
	heard    complaints
	warnings []string // what the source had to say at its start
}

// findings is what comes of it.
type findings struct {
	Source Verdict
	Client *Verdict // nil where only a Collector's configuration is asked about
}

// checks are by the name of what they are about.
var checks = map[string]func(context.Context, *trial) findings{
	shmName:        checkShm,
	userEventsName: checkUserEvents,
	bpfName:        checkBPF,
	probesName:     checkProbes,
	uringName:      checkUring,
}

func (t *trial) limits() segments.Limits {
	l := t.config.Limits
	return segments.Limits{Limits: l.Limits, SegmentSize: int64(l.SegmentSize)}
}

// silentError is why the client of a source that started has nothing to tell it.
type silentError struct{ why string }

func (e *silentError) Error() string { return "no client can tell it anything: " + e.why }

// stand starts a client that finds nobody to tell, and returns where it stands once it has ended.
func (t *trial) stand(transport string, environment ...string) (standing, error) {
	c, err := startClient(transport, quiet, environment...)
	if err != nil {
		return standing{}, err
	}
	return standingOf(transport, c.Status), t.endUnnoticed(c)
}

// arrive starts a source, has a process count, and waits until the source hands over what it counted.
func (t *trial) arrive(ctx context.Context, src source.Source, transport string, environment ...string) (err error) {
	if err := src.Start(ctx, nil); err != nil {
		return errors.Join(err, src.Shutdown(ctx))
	}
	defer func() { err = errors.Join(err, src.Shutdown(ctx)) }()
	t.warnings = t.heard.take()
	c, err := startClient(transport, counting, environment...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	if s := standingOf(transport, c.Status); !s.works {
		return &silentError{s.why}
	}
	var sum tally
	for deadline := time.Now().Add(t.patience); ; time.Sleep(pause) {
		sum = tally{}
		err := src.Collect(ctx, &sum)
		if sum.total == counted {
			return nil
		}
		said := append(t.heard.take(), parenthesis(c.Status))
		if err != nil {
			said = append(said, err.Error())
		}
		if why := strings.Join(said, "; "); why != "" {
			return errors.New(why)
		}
		if time.Now().After(deadline) {
			return late(sum.total, t.patience)
		}
	}
}

const pause = 2 * time.Millisecond

func late(total uint64, patience time.Duration) error {
	return fmt.Errorf("a process counted %d, and %d arrived within %v", counted, total, patience)
}

// as has an error speak of what the configuration names, and not of what was tried in its place.
func as(err error, tried, meant string) string {
	return strings.ReplaceAll(err.Error(), tried, meant)
}

// notes are those that sentences make.
func notes(texts ...string) (all []Note) {
	for _, text := range texts {
		all = append(all, Note{Text: text})
	}
	return all
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}
