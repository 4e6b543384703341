package format_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hotpath-metrics/hotpath/internal/kerneltest"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents/format"
)

func TestUserEventsKernelHasNoFormatThatParseRefuses(t *testing.T) {
	kerneltest.Need(t)
	var files []string
	for _, mount := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		found, err := filepath.Glob(filepath.Join(mount, "events/*/*/format"))
		if err != nil {
			t.Fatal(err)
		}
		if files = append(files, found...); len(files) > 0 {
			break
		}
	}
	if len(files) == 0 {
		t.Fatal("no formats where tracefs is")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just gone
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := format.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if lines := strings.Count(string(text), "\tfield:"); len(f.Common)+len(f.Fields) != lines {
			t.Errorf("%s: %d and %d fields in %d lines", file, len(f.Common), len(f.Fields), lines)
		}
		if id := f.Common.Lookup("common_type"); id == nil || id.Offset != 0 || id.Size != 2 {
			t.Errorf("%s: common_type is %+v", file, id)
		}
	}
	t.Logf("read %d formats", len(files))
}
