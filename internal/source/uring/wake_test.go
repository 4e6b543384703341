package uring

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/source/uring/uringtest"
)

// A descriptor that was taken from another process is in epoll for as long as that process has it, unless it is taken out.
func TestRingOfAClientThatHungUpWakesNobody(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	for range 5 {
		c := f.connect(anyone(), requests)
		c.Hangup()
		f.eventually(func(h *hub) bool { return len(h.sockets) == 1 }, "its end is heard")
		require.NoError(t, c.Flood(uringtest.Word{Index: 1, Value: 5}), "it has its ring yet")
	}
	honest.check()
	f.sleeps()
	honest.check()
}

// sleeps fails if something wakes the waiting goroutine again and again, which would be thousands of times; what came late on a busy machine is one.
func (f *fixture) sleeps() {
	f.Helper()
	time.Sleep(100 * time.Millisecond)
	var start, end unix.Rusage
	require.NoError(f, unix.Getrusage(unix.RUSAGE_SELF, &start))
	turns := f.turns()
	time.Sleep(500 * time.Millisecond)
	require.NoError(f, unix.Getrusage(unix.RUSAGE_SELF, &end))
	assert.Less(f, f.turns()-turns, uint64(10), "wake-ups")
	used := time.Duration(end.Utime.Nano() + end.Stime.Nano() - start.Utime.Nano() - start.Stime.Nano())
	assert.Less(f, used, 200*time.Millisecond)
}

func TestUrgentBytesWakeNobodyForLong(t *testing.T) {
	f := setUp(t)
	honest := f.bystander()
	c := f.connect(anyone(), requests)
	for range 3 {
		if _, err := unix.SendmsgN(c.Socket, []byte("x"), nil, nil, unix.MSG_OOB|unix.MSG_NOSIGNAL); err != nil {
			t.Skip("this kernel's UNIX sockets have no urgent bytes: ", err)
		}
		f.sleeps()
	}
	honest.check()
}

func init() { roles["trickle"] = trickle }

// trickle sends a byte at a time through many connections, for as long as they take it.
func trickle(args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	message := uringtest.Message(uringtest.TypeHello, make([]byte, 131000))
	var sockets []int
	for range n {
		c, err := uringtest.Dial(args[0])
		if err != nil {
			return err
		}
		sockets = append(sockets, c.Socket)
	}
	fmt.Println("connected")
	if _, err := os.Stdin.Read(make([]byte, 1)); err != nil {
		return err
	}
	for len(message) > 0 {
		for _, fd := range sockets {
			if _, err := unix.SendmsgN(fd, message[:1], nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.EAGAIN) {
				return err
			}
		}
		message = message[1:]
	}
	return nil
}

func TestConnectionsThatTrickleHoldNobodyUp(t *testing.T) {
	const programs, connections = 6, 200
	needDescriptors(t, 5*programs*connections)
	f := setUp(t)
	honest := f.bystander()
	var tricklers []*program
	for range programs {
		tricklers = append(tricklers, sibling(t, "trickle", f.cfg.Socket, strconv.Itoa(connections)))
	}
	for _, p := range tricklers {
		p.expect("connected")
	}
	for _, p := range tricklers {
		_, err := p.in.Write([]byte("\n"))
		require.NoError(t, err)
	}
	time.Sleep(100 * time.Millisecond)
	for range 5 {
		began := time.Now()
		honest.count++
		require.NoError(t, honest.Tell(uringtest.Word{Index: 1, Value: honest.count}))
		for honest.Target.Room() < honest.Entries {
			time.Sleep(time.Millisecond)
			require.Less(t, time.Since(began), 20*time.Second)
		}
		assert.Less(t, time.Since(began), time.Second, "read while they are at it")
	}
	honest.check()
	for _, p := range tricklers {
		p.kill()
	}
	f.eventually(func(h *hub) bool { return len(h.sockets) == 1 }, "they are gone")
}
