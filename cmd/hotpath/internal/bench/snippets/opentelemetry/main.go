// Opentelemetry is what a program in Go needs for a counter by OpenTelemetry's SDK.
package main

import (
	"context"
	"log"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

func main() {
	ctx := context.Background()
	exporter, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	provider := sdk.NewMeterProvider(sdk.WithReader(sdk.NewPeriodicReader(exporter)))
	requests, err := provider.Meter("app").Int64Counter("http.requests", metric.WithUnit("{request}"))
	if err != nil {
		log.Fatal(err)
	}
	requests.Add(ctx, 1)
	if err := provider.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
