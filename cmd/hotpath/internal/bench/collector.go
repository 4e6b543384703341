package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/receiver"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracing "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/hotpath-metrics/hotpath/internal/measure"
	"github.com/hotpath-metrics/hotpath/receiver/hotpathreceiver"
)

// serveCollector is this program as the receiver, with a consumer that looks at totals, in a process of its own so that what it takes can be
// measured. It answers like a worker:
//
//	                     ready 0 WORD...           where a statsd server listens
//	total NAME           total N                   what came of a metric
//	arrivals NAME        arrivals JSON             and when
//	cpu                  cpu NANOSECONDS
//	own NAME             own N                     the sum of a metric of its own telemetry
//	settle               settle                    gives back memory that it does not need
func serveCollector(ctx context.Context, kind, settings string) (err error) {
	came := newArrivals()
	reader := sdk.NewManualReader()
	var words []string
	var end func() error
	if kind == statsdKind {
		words, end, err = listenStatsd(came, settings)
	} else {
		end, err = startReceiver(ctx, settings, came, reader)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "failed", oneLine(err))
		return nil
	}
	defer func() { err = errors.Join(err, end()) }()
	if _, err := fmt.Fprintln(os.Stdout, "ready 0", strings.Join(words, " ")); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := answer(ctx, lines.Text(), came, reader)
		if err != nil {
			answer = "failed " + oneLine(err)
		}
		if _, err := fmt.Fprintln(os.Stdout, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answer(ctx context.Context, line string, came *arrivals, reader sdk.Reader) (string, error) {
	command, name, _ := strings.Cut(line, " ")
	switch command {
	case "total":
		return fmt.Sprint("total ", came.total(name)), nil
	case "arrivals":
		b, err := json.Marshal(came.of(name))
		return "arrivals " + string(b), err
	case "cpu":
		return fmt.Sprint("cpu ", int64(measure.ProcessTime())), nil
	case "own":
		n, err := ownTelemetry(ctx, reader, name)
		return fmt.Sprint("own ", n), err
	case "settle":
		debug.FreeOSMemory()
		return "settle", nil
	}
	return "", fmt.Errorf("no such command: %s", line)
}

// startReceiver starts the receiver with settings in JSON.
func startReceiver(ctx context.Context, settings string, next *arrivals, reader sdk.Reader) (func() error, error) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(settings), &fields); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	cfg, err := receiverConfig(fields)
	if err != nil {
		return nil, err
	}
	factory := hotpathreceiver.NewFactory()
	set := receiver.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: component.TelemetrySettings{
		Logger:         zap.NewNop(),
		TracerProvider: tracing.NewTracerProvider(),
		MeterProvider:  sdk.NewMeterProvider(sdk.WithReader(reader)),
		Resource:       pcommon.NewResource(),
	}}
	r, err := factory.CreateMetrics(ctx, set, cfg, next)
	if err != nil {
		return nil, fmt.Errorf("create receiver: %w", err)
	}
	end := func() error { return r.Shutdown(context.WithoutCancel(ctx)) }
	if err := r.Start(ctx, alone{}); err != nil {
		return nil, errors.Join(err, end())
	}
	return end, nil
}

// alone is a host without extensions.
type alone struct{}

func (alone) GetExtensions() map[component.ID]component.Component { return nil }

func receiverConfig(fields map[string]any) (component.Config, error) {
	cfg := hotpathreceiver.NewFactory().CreateDefaultConfig()
	if err := confmap.NewFromStringMap(fields).Unmarshal(cfg); err != nil {
		return nil, fmt.Errorf("read the receiver's configuration: %w", err)
	}
	if err := confmap.Validate(cfg); err != nil {
		return nil, fmt.Errorf("validate the receiver's configuration: %w", err)
	}
	return cfg, nil
}

// ownTelemetry is the sum of all points of a metric.
func ownTelemetry(ctx context.Context, reader sdk.Reader, name string) (sum int64, err error) {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &all); err != nil {
		return 0, fmt.Errorf("read telemetry: %w", err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if s, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == name {
				for _, p := range s.DataPoints {
					sum += p.Value
				}
			}
		}
	}
	return sum, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
