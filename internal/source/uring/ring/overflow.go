package ring

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

const (
	// overflowed is what the kernel takes for a completion that found no room (struct io_overflow_cqe).
	overflowed = 32
	// maxLine is how long a line of its list is at most: `  user_data=18446744073709551615, res=-2147483648, flags=ffffffff`.
	maxLine = 70
	// before the list stand the entries of both queues, and what the ring has registered.
	maxBefore = 16 << 20
)

// Overflow is how many bytes the kernel holds of completions that found no room, up to a little more than limit. The kernel makes the
// whole list before it hands out any of it, so that this is only for rings of which it is known that they cannot hold much more.
func (r *Ring) Overflow(limit int64) (int64, error) {
	f, err := os.Open("/proc/self/fdinfo/" + strconv.Itoa(r.fd))
	if err != nil {
		return 0, fmt.Errorf("open fdinfo: %w", err)
	}
	defer f.Close()
	var list overflowList
	buffer := make([]byte, 64<<10)
	for most := maxBefore + limit/overflowed*maxLine; most > 0 && list.bytes() <= limit; {
		n, err := f.Read(buffer)
		list.add(buffer[:n])
		if err != nil { // the end
			break
		}
		most -= int64(n)
	}
	return list.bytes(), nil
}

// overflowList counts the lines of fdinfo that follow `CqOverflowList:`.
type overflowList struct {
	line  []byte // the start of one whose end was not read
	found bool
	count int64
}

func (l *overflowList) bytes() int64 { return l.count * overflowed }

func (l *overflowList) add(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			l.line = append(l.line, b[:min(len(b), maxLine)]...)
			return
		}
		l.end(append(l.line, b[:min(end, maxLine)]...))
		l.line, b = l.line[:0], b[end+1:]
	}
}

func (l *overflowList) end(line []byte) {
	switch {
	case bytes.HasPrefix(line, []byte("CqOverflowList:")):
		l.found = true
	case l.found && bytes.HasPrefix(line, []byte("  user_data=")):
		l.count++
	default:
		l.found = false // of another list
	}
}
