//go:build !linux || !(amd64 || arm64)

package hotpath

// client counts nothing where there is no shared memory with the Collector.
type client struct{}

type cell struct{}

func (c cell) gauge() Gauge { return Gauge{cell: c} }

func (*client) series(uint8, string, []Option) cell { return cell{} }

func (*client) flush() {}

func (*client) status() string {
	return "hotpath counts nothing: it needs Linux on amd64 or arm64."
}

// Add does nothing on this platform.
func (Counter) Add(uint64) {}

// AddWith does nothing on this platform.
func (Counter) AddWith(uint64, ...Attribute) {}

// Add does nothing on this platform.
func (UpDownCounter) Add(int64) {}

// AddWith does nothing on this platform.
func (UpDownCounter) AddWith(int64, ...Attribute) {}

// Set does nothing on this platform.
func (Gauge) Set(float64) {}

// SetWith does nothing on this platform.
func (Gauge) SetWith(float64, ...Attribute) {}

// Record does nothing on this platform.
func (Histogram) Record(float64) {}

// RecordWith does nothing on this platform.
func (Histogram) RecordWith(float64, ...Attribute) {}
