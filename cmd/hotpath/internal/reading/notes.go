package reading

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hotpath-metrics/hotpath/internal/segment"
	"github.com/hotpath-metrics/hotpath/internal/source/segments"
)

// notes are what keeps things from being seen.
type notes struct{ shm, bpf error }

func (n *notes) lines(skipped map[segment.Reason]int, failed error) (lines []string) {
	user := os.Geteuid() != 0
	switch {
	case errors.Is(n.shm, os.ErrNotExist):
		lines = append(lines, "No process has published anything yet: "+n.shm.Error())
	case n.shm != nil:
		lines = append(lines, n.shm.Error())
	}
	var hidden []string
	if unreadable := skipped[segments.ErrUnreadable]; unreadable > 0 {
		hidden = append(hidden, fmt.Sprintf("segments of other users (%d)", unreadable))
	}
	if user && n.bpf != nil {
		hidden = append(hidden, "segments in memfds")
	}
	if len(hidden) > 0 {
		lines = append(lines, "Not shown: "+strings.Join(hidden, ", ")+"; sudo hotpath top shows all")
	}
	if !user && n.bpf != nil {
		lines = append(lines, "Segments in memfds are not shown: "+n.bpf.Error())
	}
	if failed != nil {
		lines = append(lines, "Segments in memfds: "+failed.Error())
	}
	delete(skipped, segments.ErrUnreadable)
	if len(skipped) > 0 {
		total := 0
		var reasons []string
		for _, reason := range slices.Sorted(maps.Keys(skipped)) {
			total += skipped[reason]
			reasons = append(reasons, fmt.Sprintf("%s %d", string(reason), skipped[reason]))
		}
		lines = append(lines, fmt.Sprintf("files that are not read: %d (%s); hotpath dump says why", total, strings.Join(reasons, ", ")))
	}
	return lines
}
