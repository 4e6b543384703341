package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
)

func checkShm(ctx context.Context, t *trial) (f findings) {
	if !t.asked {
		c := t.shmClient(t.directory)
		f.Client = &c
	}
	f.Source = t.shmSource(ctx, *t.config.Shm.GetOrInsertDefault())
	return f
}

// shmSource tries the source in a directory within the one that is meant, or beside it where there is none yet.
func (t *trial) shmSource(ctx context.Context, cfg shm.Config) Verdict {
	inside := "." + t.name
	t.leave(message{Leaves: []string{filepath.Join(cfg.Directory, inside), filepath.Join(filepath.Dir(cfg.Directory), inside)}})
	place, err := shm.Try(cfg, inside)
	if err != nil {
		return Verdict{Reason: err.Error(), Fix: fixDirectory(cfg.Directory, err)}
	}
	defer os.RemoveAll(place.Directory) //nolint:errcheck // the parent tries again
	v := Verdict{}
	if place.InUse != nil {
		v.InUse = place.InUse.Error()
	}
	if !place.Missing { // what is tried within it says nothing about how full it is
		if c := t.shmClient(cfg.Directory); !c.Available {
			v.Reason, v.Fix = (&silentError{c.Reason}).Error(), c.Fix
			return v
		}
	}
	err = t.arrive(ctx, shm.New(place.Config, t.limits(), t.logger, source.Ignored{}), shmName, "HOTPATH_DIR="+place.Directory)
	if err != nil {
		v.Reason, v.Fix = as(err, place.Directory, cfg.Directory), fixDirectory(cfg.Directory, err)
		return v
	}
	v.Available = true
	v.Reason = fmt.Sprintf("a count came through %s", cfg.Directory)
	if place.Missing {
		v.Reason = fmt.Sprintf("a count came through; %s is made at need", cfg.Directory)
	}
	for _, warning := range t.warnings {
		if !slices.Contains(place.Warnings, warning) {
			place.Warnings = append(place.Warnings, warning)
		}
	}
	v.Notes = append(notes(place.Warnings...), smallTmpfs(cfg.Directory)...)
	return v
}

// shmClient tries a client where clients publish: with nothing in it to tell, a Collector does not mention it.
func (t *trial) shmClient(meant string) Verdict {
	directory := meant
	if !exists(directory) {
		directory = filepath.Join(filepath.Dir(directory), "."+t.name+"-client")
		t.leave(message{Leaves: []string{directory}})
		defer os.RemoveAll(directory) //nolint:errcheck // the parent tries again
	}
	s, err := t.stand(shmName, "HOTPATH_DIR="+directory)
	if err != nil {
		return Verdict{Reason: err.Error()}
	}
	if !s.works {
		why := errors.New(s.why)
		return Verdict{Reason: as(why, directory, meant), Fix: fixClientDirectory(meant, s.why)}
	}
	return Verdict{Available: true, Reason: "publishes in " + meant}
}
