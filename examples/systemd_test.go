package examples

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

const analyser = "systemd-analyze" //nolint:misspell // its name

// It prints what it does not understand, and calls that a success.
func TestUnitsAreUnderstoodBySystemd(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"usr/local/bin/otelcol-hotpath", "bin/kill"} {
		write(t, filepath.Join(root, name), "#!/bin/sh\n", 0o755)
	}
	units := filepath.Join(root, "etc/systemd/system")
	files, err := filepath.Glob("systemd/*.service")
	if err != nil || len(files) == 0 {
		t.Fatalf("units: %v %v", files, err)
	}
	// The units that these depend on are the system's own.
	system := "/usr/lib/systemd/system"
	if _, err := os.Stat(system); err != nil {
		missing(t, "systemd's units")
	}
	if err := os.MkdirAll(filepath.Join(root, system), 0o755); err != nil {
		t.Fatal(err)
	}
	says(t, tool(t, "cp", "-a", system+"/.", filepath.Join(root, system)))
	for _, file := range files {
		unit := filepath.Base(file)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(units, unit), string(text), 0o644)
		if said := says(t, tool(t, analyser, "verify", "--root="+root, unit)); said != "" {
			t.Errorf("%s: %s", unit, said)
		}
	}
}

// Whoever made the directories before, they are root's afterwards.
func TestTmpfilesMakesTheDirectories(t *testing.T) {
	if os.Getuid() != 0 {
		missing(t, "root")
	}
	root := t.TempDir()
	theirs := filepath.Join(root, "run/hotpath")
	if err := os.MkdirAll(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("systemd/hotpath.conf")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "etc/tmpfiles.d/hotpath.conf"), string(text), 0o644)
	if said := says(t, tool(t, "systemd-tmpfiles", "--create", "--root="+root, "hotpath.conf")); said != "" {
		t.Errorf("systemd-tmpfiles says: %s", said)
	}
	for path, mode := range map[string]os.FileMode{
		"dev/shm/hotpath": os.ModeDir | os.ModeSticky | 0o777,
		"run/hotpath":     os.ModeDir | 0o755,
	} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; info.Mode() != mode || uid != 0 {
			t.Errorf("%s has the mode %v and belongs to %d", path, info.Mode(), uid)
		}
	}
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
