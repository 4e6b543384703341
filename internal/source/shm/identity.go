package shm

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/process"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// identify completes what is known of the processes of segments that were just found.
func identify(fresh []*segments.Segment) {
	if len(fresh) == 0 {
		return
	}
	holders := map[segments.Key]int{}
	for _, seg := range fresh {
		if !seg.Dead() {
			holders[seg.Key] = 0
		}
	}
	if len(holders) == 0 {
		return
	}
	segments.LockHolders(holders)
	for _, seg := range fresh {
		believe(&seg.Who, holders[seg.Key])
	}
}

// believe takes the lock's holder for the process, if it belongs to the file's owner. pid is 0 if it is not known.
func believe(who *process.Identity, pid int) {
	var st unix.Stat_t
	if pid > 0 && unix.Stat(fmt.Sprintf("/proc/%d", pid), &st) == nil && st.Uid == who.UID {
		who.PID, who.Executable = uint64(pid), process.ExecutableName(pid)
	}
}
