package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver"
)

// fact is whether the Collector's receiver delivers what a client counts, and what its Start said.
type fact struct {
	Delivered bool
	Error     string
}

// reality runs the receiver that a configuration has for each source, with a client that counts, and prints what came of it.
func reality(args []string) {
	facts := map[string]fact{}
	all, err := resolve(context.Background(), args[:1])
	must("read configuration", err)
	found, err := configured(all)
	must("read configuration", err)
	for _, a := range asked(all, found) {
		facts[a.Source] = deliver(found[a.Receiver], a.Source)
	}
	must("print", json.NewEncoder(os.Stdout).Encode(facts))
	os.Exit(0)
}

func deliver(cfg *hotpathreceiver.Config, source string) fact {
	cfg.CollectionInterval = 20 * time.Millisecond
	factory := hotpathreceiver.NewFactory()
	arrived := make(chan struct{}, 1)
	next, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error {
		if total(md, "reality") == counted {
			select {
			case arrived <- struct{}{}:
			default:
			}
		}
		return nil
	})
	must("make consumer", err)
	ctx := context.Background()
	r, err := factory.CreateMetrics(ctx, receivertest.NewNopSettings(factory.Type()), cfg, next)
	must("make receiver", err)
	if err := r.Start(ctx, host{}); err != nil {
		return fact{Error: err.Error()}
	}
	defer r.Shutdown(ctx)
	environment := []string{"OTEL_SERVICE_NAME=reality"}
	switch source {
	case shmName:
		environment = append(environment, "HOTPATH_DIR="+cfg.Shm.Get().Directory)
	case uringName:
		environment = append(environment, "HOTPATH_SOCKET="+cfg.IOUring.Get().Socket, "HOTPATH_DIR="+nowhere)
	}
	c, err := startClient(source, counting, environment...)
	if err != nil {
		return fact{Error: err.Error()}
	}
	defer c.end()
	select {
	case <-arrived:
		return fact{Delivered: true}
	case <-time.After(patience()):
		return fact{Error: fmt.Sprintf("nothing arrived; the client says: %s", c.Status)}
	}
}

// slow says that this may be a virtual machine whose processor is emulated.
func slow() bool { return os.Getenv(machineEnv) != "" || os.Getenv(programsEnv) != "" }

func patience() time.Duration {
	if slow() {
		return 20 * time.Second
	}
	return 5 * time.Second
}

const (
	// machineEnv says that this is a machine of its own, a slow one, whose settings may be changed.
	machineEnv = "HOTPATH_TEST_MACHINE"
	// programsEnv is set for tests that may run in a virtual machine.
	programsEnv = "HOTPATH_PROGRAMS"
)

type host struct{}

func (host) GetExtensions() map[component.ID]component.Component { return nil }

// total is that of doctor's counter in the resources of a service.
func total(md pmetric.Metrics, service string) (sum int64) {
	for _, rm := range md.ResourceMetrics().All() {
		if name, _ := rm.Resource().Attributes().Get("service.name"); name.AsString() != service {
			continue
		}
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Name() == counterName && m.Type() == pmetric.MetricTypeSum {
					for _, p := range m.Sum().DataPoints().All() {
						sum += p.IntValue()
					}
				}
			}
		}
	}
	return sum
}
