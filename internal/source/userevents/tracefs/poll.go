package tracefs

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Poll waits for buffers that are filled to the watermark. It is level-triggered, and so not the runtime's
// own: ftrace arms the watermark anew only when it is asked whether there is something.
type Poll struct {
	epoll, wake int
	events      []unix.EpollEvent
}

// NewPoll returns a poll of no buffers.
func NewPoll() (*Poll, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make epoll instance: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	p := &Poll{epoll: epoll, wake: wake, events: make([]unix.EpollEvent, 64)}
	if err := p.add(wake, -1); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// Add waits for a CPU's buffer, too, which has to exist.
func (p *Poll) Add(c *CPU) error { return p.add(c.fd, c.ID) }

func (p *Poll) add(fd, id int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(id)}
	if err := unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return fmt.Errorf("poll buffer of CPU %d: %w", id, err)
	}
	return nil
}

// Wait returns the ids of CPUs whose buffers are filled to the watermark, appended to ids. A negative timeout is endless. It
// returns [os.ErrClosed] after Stop.
func (p *Poll) Wait(ids []int, timeout time.Duration) ([]int, error) {
	ms := -1
	if timeout >= 0 {
		ms = int((timeout + time.Millisecond - 1) / time.Millisecond)
	}
	n, err := unix.EpollWait(p.epoll, p.events, ms)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return ids, fmt.Errorf("wait for events: %w", err)
	}
	for _, e := range p.events[:max(n, 0)] {
		if e.Fd < 0 {
			return ids, os.ErrClosed
		}
		ids = append(ids, int(e.Fd))
	}
	return ids, nil
}

// Stop makes all calls of Wait return.
func (p *Poll) Stop() {
	_, _ = unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// Close gives the descriptors back. No call of Wait may be under way.
func (p *Poll) Close() {
	unix.Close(p.epoll)
	unix.Close(p.wake)
}
