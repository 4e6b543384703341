//go:build linux

// Writes one event: id 3, value 42.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/userevent"
)

var enabled atomic.Uint32 // the kernel sets bit 0 while somebody listens

func main() {
	if err := write(3, 42); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func write(id uint32, value uint64) error {
	file, err := userevent.Open()
	if err != nil {
		return err
	}
	index, err := userevent.Register(file, unsafe.Pointer(&enabled), 0, 4, 0, "my_counter u32 id; u64 value")
	if err != nil {
		return err
	}
	if enabled.Load() == 0 {
		return fmt.Errorf("nobody listens to my_counter")
	}
	event := binary.NativeEndian.AppendUint32(nil, index)
	event = binary.NativeEndian.AppendUint32(event, id)
	event = binary.NativeEndian.AppendUint64(event, value)
	_, err = unix.Write(file, event)
	return err
}
