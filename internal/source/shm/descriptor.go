package shm

import "golang.org/x/sys/unix"

// maxReserve is how many descriptors are left to the rest of the Collector where there are plenty: were all of
// them spent on segments, no exporter could connect, and nothing would ever be delivered and released.
const maxReserve = 64

// reserved says whether a descriptor that was just opened is one of those. The kernel hands out the
// lowest free number, so that a high one says how many are taken, by whomever.
func reserved(fd int) bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	return uint64(fd) >= limit.Cur-min(maxReserve, limit.Cur/4)
}
