package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// outputs are files, - for the standard output and "" for none.
type outputs struct{ json, markdown, svg string }

const standardOutput = "-"

// check finds out before anything is measured whether there will be a place for it.
func (o *outputs) check() error {
	toStandard := 0
	for _, name := range []string{o.json, o.markdown, o.svg} {
		switch name {
		case "":
		case standardOutput:
			toStandard++
		default:
			if info, err := os.Stat(filepath.Dir(name)); err != nil || !info.IsDir() {
				return fmt.Errorf("there is no folder for %s", name)
			}
		}
	}
	if toStandard > 1 {
		return errors.New("only one of --json, --markdown and --svg can go to the standard output")
	}
	return nil
}

// write writes what was asked for, and the table for people where the standard output is free.
func (o *outputs) write(standard io.Writer, r *Result) error {
	var errs error
	free := true
	for _, output := range []struct {
		name   string
		render func(*Result) (string, error)
	}{{o.json, toJSON}, {o.markdown, markdown}, {o.svg, svg}} {
		if output.name == "" {
			continue
		}
		text, err := output.render(r)
		switch {
		case err != nil:
		case output.name == standardOutput:
			free = false
			_, err = io.WriteString(standard, text)
		default:
			err = os.WriteFile(output.name, []byte(text), 0o644) // #nosec G306 -- for everybody to read
		}
		errs = errors.Join(errs, err)
	}
	if free {
		_, err := io.WriteString(standard, terminal(r))
		errs = errors.Join(errs, err)
	}
	return errs
}

func toJSON(r *Result) (string, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return string(b) + "\n", err
}
