package bpf

import (
	"context"
	"os"
	"testing"

	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/emit/emittest"
	receiver "github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
)

// BenchmarkCollect reads 1,000 processes with 100 series each, beside the source shm. What bpf looks for every 10 s is part of it.
func BenchmarkCollect(b *testing.B) {
	const processes, series = 1000, "100"
	directory, err := os.MkdirTemp("/dev/shm", "hotpath-bpf")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(directory)
	tel := newTelemetry()
	limits := testLimits
	cfg := shm.DefaultConfig()
	cfg.Directory = directory
	memfds := newMemfds(false, limits, zap.NewNop(), tel)
	for _, c := range []struct {
		name, transport string
		source          receiver.Source
	}{{"shm", "shm", shm.New(cfg, limits, zap.NewNop(), tel)}, {"bpf", "bpf", memfds}} {
		b.Run(c.name, func(b *testing.B) {
			for range processes {
				cmd := command("many", series)
				cmd.Env = append(cmd.Env, "HOTPATH_TRANSPORT="+c.transport, "HOTPATH_DIR="+directory)
				spawn(b, cmd)
			}
			if err := c.source.Start(context.Background(), nil); err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.source.Shutdown(context.Background()) }()
			for b.Loop() {
				if c.name == "bpf" {
					memfds.lookAgain()
				}
				if err := c.source.Collect(context.Background(), emittest.Discard{}); err != nil {
					b.Fatal(err)
				}
				c.source.Commit()
			}
		})
	}
}
