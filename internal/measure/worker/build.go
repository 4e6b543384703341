package worker

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/hotpath-metrics/hotpath/client/c"
	"github.com/hotpath-metrics/hotpath/internal/measure"
)

//go:embed c/worker.c
var source []byte

//go:embed c/serve.h
var serve []byte

// Build compiles the C worker into a directory, under a name, and returns its path.
func Build(dir, name string, flags ...string) (string, error) {
	compiler, err := measure.CCompiler()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	for file, text := range map[string][]byte{path + ".c": source, filepath.Join(dir, "serve.h"): serve, filepath.Join(dir, "hotpath.h"): c.Header} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return "", fmt.Errorf("write source: %w", err)
		}
	}
	arguments := append([]string{"-std=gnu11", "-O2", "-pthread", "-I", dir, "-o", path, path + ".c"}, flags...)
	if output, err := exec.Command(compiler, arguments...).CombinedOutput(); err != nil { // #nosec G204 -- a compiler, on a source of ours
		return "", fmt.Errorf("compile the C worker: %w: %.300s", err, output)
	}
	return path, nil
}
