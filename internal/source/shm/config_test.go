package shm

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// yamlProvider makes configuration of the YAML in its own URI, as the environment's does of a variable.
type yamlProvider struct{}

func (yamlProvider) Scheme() string                 { return "text" }
func (yamlProvider) Shutdown(context.Context) error { return nil }

func (yamlProvider) Retrieve(_ context.Context, uri string, _ confmap.WatcherFunc) (*confmap.Retrieved, error) {
	return confmap.NewRetrievedFromYAML([]byte(uri[len("text:"):]))
}

func load(t *testing.T, yaml string) (Config, error) {
	t.Helper()
	resolver, err := confmap.NewResolver(confmap.ResolverSettings{
		URIs: []string{"text:" + yaml},
		ProviderFactories: []confmap.ProviderFactory{
			confmap.NewProviderFactory(func(confmap.ProviderSettings) confmap.Provider { return yamlProvider{} }),
		},
	})
	require.NoError(t, err)
	conf, err := resolver.Resolve(context.Background())
	require.NoError(t, err)
	cfg := DefaultConfig()
	if err := conf.Unmarshal(&cfg); err != nil {
		return cfg, err
	}
	return cfg, cfg.Validate()
}

func TestModeAndGroupMayBeBareNumbers(t *testing.T) {
	for yaml, want := range map[string]Config{
		`{}`:                                           {},
		`{mode: "2770", group: metrics}`:               {Mode: "2770", Group: "metrics"},
		`{mode: 2770, group: 1000}`:                    {Mode: "2770", Group: "1000"},
		`{mode: "02770", group: "1000"}`:               {Mode: "02770", Group: "1000"},
		`{mode: 2770, group: metrics}`:                 {Mode: "2770", Group: "metrics"},
		`{mode: "${text:02770}", group: "${text:10}"}`: {Mode: "02770", Group: "10"},
		`{mode: 1777, group: "${text:0100}"}`:          {Mode: "1777", Group: "0100"},
		`{optional: true, group: 5}`:                   {Group: "5", Optional: true},
	} {
		t.Run(yaml, func(t *testing.T) {
			want.Directory = DefaultConfig().Directory
			got, err := load(t, yaml)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestModeThatYAMLReadsAsAnotherNumberIsRefusedWithAWayOut(t *testing.T) {
	for _, mode := range []string{"02770", "01777", "0o2770", "0700", "07777", "-1", "0x5f8"} {
		_, err := load(t, "{mode: "+mode+"}")
		require.ErrorContains(t, err, "mode: ", mode)
		require.ErrorContains(t, err, `quote`, mode)
	}
}

func TestModeAndGroupAreNothingButTextOrNumbers(t *testing.T) {
	for _, yaml := range []string{"{mode: [2770]}", "{group: {a: b}}", "{mode: true}", "{mode: 2770, groups: 1}"} {
		_, err := load(t, yaml)
		require.Error(t, err, yaml)
	}
}
