package bpf

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/bpf/procfile"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// identify has the segment's resource say what the kernel knows of its process.
func identify(seg *segments.Segment, pid uint32) {
	seg.Identify(pid)
	var st unix.Stat_t
	if unix.Stat(procfile.Path(pid, ""), &st) == nil {
		seg.Who.UID = st.Uid
	}
}

// innerPID is the process's id as it sees itself, in the innermost pid namespace.
func innerPID(pid uint32) uint64 {
	status, err := os.ReadFile(procfile.Path(pid, "status"))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if ids, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			fields := bytes.Fields(ids)
			if len(fields) == 0 {
				return 0
			}
			n, _ := strconv.ParseUint(string(fields[len(fields)-1]), 10, 32)
			return n
		}
	}
	return 0
}
