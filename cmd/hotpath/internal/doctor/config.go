package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"

	"github.com/hotpath-metrics/hotpath/internal/source/shm"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver"
)

const receivers = "receivers"

// resolve reads a Collector's configuration as the Collector does.
func resolve(ctx context.Context, uris []string) (*confmap.Conf, error) {
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs: uris,
		ProviderFactories: []confmap.ProviderFactory{
			fileprovider.NewFactory(), envprovider.NewFactory(), yamlprovider.NewFactory(),
		},
		DefaultScheme: "env",
	})
	if err == nil {
		var all *confmap.Conf
		if all, err = resolver.Resolve(ctx); err == nil {
			return all, resolver.Shutdown(ctx)
		}
	}
	return nil, fmt.Errorf("read configuration %s: %w", strings.Join(uris, ", "), err)
}

// configured are the configurations of all receivers hotpath, by id.
func configured(all *confmap.Conf) (map[string]*hotpathreceiver.Config, error) {
	blocks, err := all.Sub(receivers)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", receivers, err)
	}
	found := map[string]*hotpathreceiver.Config{}
	var errs []error
	for key := range blocks.ToStringMap() {
		var id component.ID
		if id.UnmarshalText([]byte(key)) != nil || id.Type() != hotpathreceiver.NewFactory().Type() {
			continue
		}
		cfg, err := decode(blocks, key)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s::%s: %w", receivers, key, err))
			continue
		}
		found[id.String()] = cfg
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("the configuration has no receiver hotpath")
	}
	return found, nil
}

func defaultConfig() *hotpathreceiver.Config {
	return hotpathreceiver.NewFactory().CreateDefaultConfig().(*hotpathreceiver.Config)
}

// decode reads the block of one receiver, and has it validate itself. Where it names no source, shm runs.
func decode(blocks *confmap.Conf, key string) (*hotpathreceiver.Config, error) {
	block, err := blocks.Sub(key)
	if err != nil {
		return nil, err
	}
	cfg := defaultConfig()
	if err := block.Unmarshal(cfg); err != nil {
		return nil, err
	}
	if err := confmap.Validate(cfg); err != nil {
		return nil, err
	}
	if cfg.Shm.HasValue() || cfg.UserEvents.HasValue() || cfg.BPF.HasValue() || cfg.IOUring.HasValue() {
		return cfg, nil
	}
	if cfg.Shm == configoptional.None[shm.Config]() {
		return nil, errors.New("no source: shm is not enabled and no other is named")
	}
	cfg.Shm.GetOrInsertDefault()
	return cfg, nil
}

// asked lists the sources that the receivers ask for.
func asked(all *confmap.Conf, found map[string]*hotpathreceiver.Config) (list []Asked) {
	used := inPipelines(all)
	taken := map[string]string{} // who has a place that only one can have
	for _, id := range slices.Sorted(maps.Keys(found)) {
		cfg := found[id]
		add := func(source, place string, optional bool) {
			a := Asked{
				Key: fmt.Sprintf("%s::%s::%s", receivers, id, source), Receiver: id, Source: source,
				Optional: optional, Unused: used != nil && !used[id],
			}
			if other := taken[source+place]; other != "" && place != "" && !a.Unused {
				a.Verdict = Verdict{Reason: fmt.Sprintf("%s has %s already", other, place), Fix: "name another in one of them"}
			} else if !a.Unused {
				taken[source+place] = a.Key
			}
			list = append(list, a)
		}
		if b := cfg.Shm.Get(); b != nil {
			add(shmName, b.Directory, b.Optional)
		}
		if b := cfg.UserEvents.Get(); b != nil {
			add(userEventsName, b.Instance, b.Optional)
		}
		if b := cfg.BPF.Get(); b != nil {
			add(bpfName, "", b.Optional)
		}
		if b := cfg.IOUring.Get(); b != nil {
			add(uringName, b.Socket, b.Optional)
		}
	}
	return list
}

// inPipelines are the receivers that pipelines have; nil if there are no pipelines.
func inPipelines(all *confmap.Conf) map[string]bool {
	var service struct {
		Pipelines map[string]struct {
			Receivers []component.ID `mapstructure:"receivers"`
		} `mapstructure:"pipelines"`
	}
	block, err := all.Sub("service")
	if err != nil || block.Unmarshal(&service, confmap.WithIgnoreUnused()) != nil || len(service.Pipelines) == 0 {
		return nil
	}
	used := map[string]bool{}
	for _, p := range service.Pipelines {
		for _, id := range p.Receivers {
			used[id.String()] = true
		}
	}
	return used
}
