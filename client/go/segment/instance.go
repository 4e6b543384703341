package segment

import (
	"encoding/binary"
	"fmt"
)

// Process is what the kernel says of a process, and what tells its instance from all others.
type Process struct {
	BootID       string // the line in /proc/sys/kernel/random/boot_id
	PIDNamespace uint64 // inode of /proc/self/ns/pid
	PID          int
	StartTime    uint64 // field 22 of /proc/self/stat
	ExeDevice    uint64 // of /proc/self/exe
	ExeInode     uint64
}

// Instance is the id that all segments of the process carry.
func (p *Process) Instance() [InstanceSize]byte {
	text := fmt.Sprintf("%s %d %d %d %d %d", p.BootID, p.PIDNamespace, p.PID, p.StartTime, p.ExeDevice, p.ExeInode)
	var id [InstanceSize]byte
	binary.NativeEndian.PutUint64(id[:8], hash(0xcbf29ce484222325, text))
	binary.NativeEndian.PutUint64(id[8:], hash(0x9ae16a3b2f90404f, text))
	return id
}

// hash is FNV-1a with SplitMix64's finisher: FNV alone leaves similar texts with similar high bits.
func hash(h uint64, text string) uint64 {
	for i := 0; i < len(text); i++ {
		h ^= uint64(text[i])
		h *= 0x100000001b3
	}
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	h ^= h >> 31
	return h
}
