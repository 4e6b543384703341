//go:generate go tool -modfile=../../internal/tools/go.mod mdatagen metadata.yaml

// Package hotpathreceiver is an OpenTelemetry Collector receiver for what
// processes on the same Linux host count in memory. README.md describes its
// configuration, documentation.md the telemetry it emits about itself.
package hotpathreceiver
