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

// Add does nothing on this platform.
func (UpDownCounter) Add(int64) {}

// Set does nothing on this platform.
func (Gauge) Set(float64) {}

// Record does nothing on this platform.
func (Histogram) Record(float64) {}
