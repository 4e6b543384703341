//go:build linux && (amd64 || arm64)

package hotpath

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/client/go/segment"
	"github.com/hotpath-metrics/hotpath/client/go/uring"
)

const (
	// sendingEntries is how many messages go into one system call.
	sendingEntries = 64
	// polledEntries is how many messages may wait for the kernel's thread.
	polledEntries = 1024
	// fewMessages are no more than are faster without a ring.
	fewMessages = 4
	// polledIdle is how many milliseconds the kernel's thread looks for messages in vain before it sleeps.
	polledIdle = 10
)

// link is a Collector that has the target ring. One goroutine at a time uses it.
type link struct {
	socket   openFile
	target   *ring
	sending  *ring
	polled   bool                   // by a thread of the kernel
	ringless bool                   // messages can be posted without the sending ring: since Linux 6.13
	aside    uint32                 // messages that were
	tail     uint32                 // how many messages there were; without those, the tail of the sending queue
	handed   uint32                 // messages that the kernel has been told of
	free     uint32                 // at least that many more find room
	err      error                  // why no more can be posted
	checked  time.Time              // when the numbers last stood for the rings
	declared int                    // bytes of the catalogue that are sent, or in rest
	rest     []byte                 // of what there was no room for in the socket
	counters [uring.Counters]uint64 // as they were told
	complete bool                   // all that there was when it began is told
	answer   [uring.HeaderSize + uring.MaxSentence]byte
}

var errClosed = errors.New("the program closed a descriptor")

// newRings makes the rings of a link.
func (l *link) newRings(entries uint32, polled bool) error {
	var err error
	if l.target, err = newRing(ringParameters{submissions: 1, completions: entries, flags: setupCQSize}); err != nil {
		return err
	}
	sending := ringParameters{submissions: sendingEntries}
	l.ringless = !polled
	if l.polled = polled; polled {
		sending = ringParameters{submissions: polledEntries, flags: setupSQPoll, threadIdle: polledIdle}
	}
	if l.sending, err = newRing(sending); err != nil {
		return err
	}
	for i := range l.sending.submissions {
		l.sending.submissions[i] = submission{op: opMsgRing, flags: skipOnSuccess, fd: int32(l.target.fd)}
	}
	return nil
}

// close gives back what there is of a link. The sending ring comes first: no message of it may
// find another file under the target's number.
func (l *link) close() {
	if l.sending != nil {
		l.sending.close()
	}
	if l.target != nil {
		l.target.close()
	}
	l.socket.close()
}

// alive looks whether the Collector is there, which at the end of its handshake has nothing more to say but a refusal.
func (l *link) alive() error {
	if !l.socket.ours() || l.astray() {
		return errClosed
	}
	n, _, err := unix.Recvfrom(l.socket.fd, l.answer[:], unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("hear of the Collector: %w", err)
	case n == 0:
		return errors.New("the Collector closed the connection")
	}
	return unexpected(l.answer[:n])
}

// ours reports whether the rings are still what their numbers stand for. Asking the kernel takes longer than a message, so it is
// asked once in a millisecond. Messages that went elsewhere within that time are noticed.
func (l *link) ours() bool {
	if time.Since(l.checked) < time.Millisecond {
		return true
	}
	l.checked = time.Now()
	return l.target.ours() && l.sending.ours()
}

// declare sends what the catalogue has gained, as far as the socket takes it.
func (l *link) declare(m *mapping) error {
	if used := int(atomic.LoadUint64(m.word(segment.OffCatalogueUsed))); used > l.declared {
		l.rest = uring.AppendSeries(l.rest, m.bytes(segment.HeaderSize+l.declared, used-l.declared))
		l.declared = used
	}
	if len(l.rest) == 0 {
		return nil
	}
	if !l.socket.ours() {
		return errClosed
	}
	n, err := unix.SendmsgN(l.socket.fd, l.rest, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("declare series: %w", err)
	}
	if l.rest = l.rest[n:]; len(l.rest) == 0 {
		l.rest = nil
	}
	return nil
}

// room reports whether another message can be put: whether there is room in the target's completion queue, of which the Collector moves the head,
// counting those that the kernel has yet to post. Without, the kernel would keep the message in a list that has no bound.
func (l *link) room() bool {
	if l.free == 0 {
		l.free = roomIn(len(l.target.completions), l.tail-atomic.LoadUint32(l.target.cqHead))
		if l.polled {
			l.free = min(l.free, roomIn(len(l.sending.submissions), l.tail-atomic.LoadUint32(l.sending.sqHead)))
		}
	}
	return l.free > 0 && l.err == nil
}

// roomIn is how much room is left in a queue. One that pretends to hold more than it can is full.
func roomIn(entries int, held uint32) uint32 { return uint32(max(0, entries-int(held))) }

// put puts a message for which there is room into the sending queue.
func (l *link) put(index uint32, value uint64) {
	s := l.submission(l.tail - l.aside)
	s.index, s.value = index, value
	l.tail++
	l.free--
	if l.tail-l.handed == uint32(len(l.sending.submissions)) {
		l.post()
	}
}

// submission is a place in the sending queue.
func (l *link) submission(at uint32) *submission {
	return &l.sending.submissions[at%uint32(len(l.sending.submissions))]
}

// post has the kernel post the messages in the sending queue.
func (l *link) post() {
	if l.tail != l.handed && l.err == nil {
		l.err = l.submit()
	}
}

func (l *link) submit() error {
	if l.ringless && l.tail-l.handed <= fewMessages {
		if err := l.submitRingless(); l.ringless {
			return err
		}
	}
	atomic.StoreUint32(l.sending.sqTail, l.tail-l.aside)
	if l.polled {
		l.handed = l.tail
		if atomic.LoadUint32(l.sending.sqFlags)&sqNeedWakeUp != 0 {
			if _, errno := l.sending.enter(0, enterWakeUp); errno != 0 {
				return fmt.Errorf("wake the kernel's thread: %w", errno)
			}
		}
		return l.sending.failure()
	}
	for l.handed != l.tail {
		taken, errno := l.sending.enter(l.tail-l.handed, 0)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("post messages: %w", errno)
		}
		if errno == 0 && taken == 0 {
			return errors.New("post messages: the kernel takes none")
		}
		l.handed += taken // none with EINTR
	}
	if l.astray() {
		return errClosed
	}
	return l.sending.failure()
}

// submitRingless has the kernel post messages one by one, from where they are in the sending queue. That takes half the time.
func (l *link) submitRingless() error {
	for at := l.handed - l.aside; l.handed != l.tail; {
		switch errno := l.submission(at).post(); errno {
		case 0:
			at++
			l.handed++
			l.aside++
		case unix.EINVAL:
			l.ringless = false
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("post a message: %w", errno)
		}
	}
	if l.astray() {
		return errClosed
	}
	return nil
}

// astray reports whether messages that the kernel has taken did not come to the target: another ring has got them.
func (l *link) astray() bool {
	return atomic.LoadUint32(l.sending.sqHead) == l.handed-l.aside && atomic.LoadUint32(l.target.cqTail) != l.handed
}

// posted reports whether the kernel has posted all messages.
func (l *link) posted() bool { return atomic.LoadUint32(l.target.cqTail) == l.tail }
