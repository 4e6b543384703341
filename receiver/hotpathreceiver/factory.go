package hotpathreceiver

import (
	"context"
	"errors"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/source"
	"github.com/hotpath-metrics/hotpath/internal/source/bpf"
	"github.com/hotpath-metrics/hotpath/internal/source/shm"
	"github.com/hotpath-metrics/hotpath/internal/source/uring"
	"github.com/hotpath-metrics/hotpath/internal/source/userevents"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver/internal/metadata"
)

// NewFactory returns the factory of the hotpath receiver.
func NewFactory() receiver.Factory {
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithMetrics(createMetrics, metadata.MetricsStability),
	)
}

func createMetrics(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
	return newReceiver(cfg.(*Config), set, next, openSources)
}

// sourceTypes are all the sources there are, each with its block in the config.
var sourceTypes = []sourceType{
	{"shm", func(c *Config, d deps) (source.Source, bool) {
		return open(c.Shm.Get(), func(b shm.Config) (source.Source, bool) {
			return shm.New(b, c.Limits.segments(), d.logger, d.telemetry), b.Optional
		})
	}},
	{"user_events", func(c *Config, d deps) (source.Source, bool) {
		return open(c.UserEvents.Get(), func(b userevents.Config) (source.Source, bool) {
			return userevents.New(b, c.Limits.userEvents(), d.logger, d.telemetry), b.Optional
		})
	}},
	{"bpf", func(c *Config, d deps) (source.Source, bool) {
		return open(c.BPF.Get(), func(b bpf.Config) (source.Source, bool) {
			return bpf.New(b, c.Limits.segments(), d.logger, d.telemetry), b.Optional
		})
	}},
	{"io_uring", func(c *Config, d deps) (source.Source, bool) {
		return open(c.IOUring.Get(), func(b uring.Config) (source.Source, bool) {
			return uring.New(b, c.Limits.segments(), d.logger, d.telemetry), b.Optional
		})
	}},
}

type sourceType struct {
	name string
	// open returns nil if the config doesn't name the source, and whether the receiver may go on without it.
	open func(*Config, deps) (src source.Source, optional bool)
}

// deps is what every source needs of the receiver.
type deps struct {
	logger    *zap.Logger
	telemetry sourceTelemetry
}

// namedSource is a source that the config names, or the default one.
type namedSource struct {
	source.Source
	name     string
	optional bool
}

func open[T any](block *T, create func(T) (source.Source, bool)) (source.Source, bool) {
	if block == nil {
		return nil, false
	}
	return create(*block)
}

// openSources makes the sources that the config names, or else shm with its defaults.
func openSources(c *Config, d deps) ([]namedSource, error) {
	if sources := c.named(d); len(sources) > 0 {
		return sources, nil
	}
	if c.Shm == configoptional.None[shm.Config]() {
		return nil, errors.New("no source: shm is not enabled and no other is named")
	}
	withDefault := *c
	withDefault.Shm.GetOrInsertDefault()
	return withDefault.named(d), nil
}

func (c *Config) named(d deps) []namedSource {
	var sources []namedSource
	for _, t := range sourceTypes {
		if s, optional := t.open(c, deps{d.logger.Named(t.name), d.telemetry.of(t.name)}); s != nil {
			sources = append(sources, namedSource{Source: s, name: t.name, optional: optional})
		}
	}
	return sources
}
