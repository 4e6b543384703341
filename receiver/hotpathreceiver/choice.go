package hotpathreceiver

import "fmt"

// Temporality of counters and histograms.
type Temporality string

const (
	// TemporalityCumulative points carry totals since the start of their process or service.
	TemporalityCumulative Temporality = "cumulative"
	// TemporalityDelta points carry what came since the last delivery.
	TemporalityDelta Temporality = "delta"
)

// UnmarshalText takes cumulative and delta.
func (t *Temporality) UnmarshalText(text []byte) error {
	*t = Temporality(text)
	return t.check()
}

func (t Temporality) check() error {
	return choice(t, TemporalityCumulative, TemporalityDelta)
}

// Per is what one resource stands for.
type Per string

const (
	// PerProcess makes a resource of each process.
	PerProcess Per = "process"
	// PerService makes a resource of all processes of a service.
	PerService Per = "service"
)

// UnmarshalText takes process and service.
func (p *Per) UnmarshalText(text []byte) error {
	*p = Per(text)
	return p.check()
}

func (p Per) check() error { return choice(p, PerProcess, PerService) }

func choice[T ~string](value, a, b T) error {
	if value == a || value == b {
		return nil
	}
	return fmt.Errorf("must be %s or %s, is %q", a, b, string(value))
}
