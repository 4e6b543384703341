package probe

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// fileID tells files apart as the kernel does, in the inode that programs are attached to.
type fileID struct{ device, inode uint64 }

// kernelID takes the kernel's device numbers, which have 20 bits of minor.
func kernelID(device uint32, inode uint64) fileID {
	return fileID{unix.Mkdev(device>>20, device&(1<<20-1)), inode}
}

// identity is which file an open one is to the kernel: on overlayfs and btrfs, stat(2) tells of others. Where the kernel cannot be asked
// (before Linux 5.17), it is taken for another one.
func (c *common) identity(f *os.File, otherwise fileID) (fileID, error) {
	program := c.programs.Programs[processesProgIdentify]
	if program == nil {
		return otherwise, nil
	}
	page, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fileID{}, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	defer func() { _ = unix.Munmap(page) }()
	address := [1]uint64{uint64(uintptr(unsafe.Pointer(unsafe.SliceData(page))))}
	for range 1000 {
		result, err := program.Run(&ebpf.RunOptions{Context: address})
		if err != nil {
			return fileID{}, fmt.Errorf("identify %s: %w", f.Name(), err)
		}
		switch result := unix.Errno(-int32(result)); result {
		case 0:
			var found processesIdentity
			if err := c.programs.Maps[processesMapIdentified].Lookup(uint32(0), &found); err != nil {
				return fileID{}, fmt.Errorf("identify %s: %w", f.Name(), err)
			}
			return kernelID(found.Device, found.Inode), nil
		case unix.EBUSY: // another thread changes what this process has mapped
			runtime.Gosched()
		default:
			return fileID{}, fmt.Errorf("identify %s: %w", f.Name(), result)
		}
	}
	return fileID{}, fmt.Errorf("identify %s: %w", f.Name(), unix.EBUSY)
}
