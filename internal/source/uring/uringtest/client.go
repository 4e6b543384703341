package uringtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	layout "github.com/hotpath-metrics/hotpath/client/go/segment"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// Types of messages.
const (
	TypeGreeting = 1
	TypeHello    = 2
	TypeSeries   = 3
	TypeReady    = 4
	TypeRefused  = 5
)

// Indexes of words, beside those of the stripe.
const (
	Shared   = 1 << 29
	Counter  = 1 << 30
	Complete = Counter + 4
)

// Refused is what the Collector says before it closes the connection.
type Refused string

func (r Refused) Error() string { return "refused: " + string(r) }

// Hello is what a client says of itself. Zero sizes become those that hold some thousand series.
type Hello struct {
	Start, PID, ID            uint64
	Instance                  [16]byte
	Catalogue, Shared, Stripe uint64
	Ring                      int
	Resource                  []byte
}

// Bytes makes the message.
func (h Hello) Bytes() []byte {
	for _, size := range []*uint64{&h.Catalogue, &h.Shared, &h.Stripe} {
		if *size == 0 {
			*size = 1 << 20
		}
	}
	if h.Start == 0 {
		h.Start = uint64(time.Now().UnixNano())
	}
	if h.Resource == nil {
		h.Resource = segmenttest.Resource(segmenttest.Str("service.name", "shop")).Append(nil)
	}
	var b []byte
	word := func(v uint64) { b = binary.NativeEndian.AppendUint64(b, v) }
	word(h.Start)
	word(h.PID)
	b = append(b, h.Instance[:]...)
	word(h.ID)
	word(h.Catalogue)
	word(h.Shared)
	word(h.Stripe)
	word(uint64(uint32(h.Ring)))
	return Message(TypeHello, append(b, h.Resource...))
}

// Message puts a header before a body.
func Message(kind uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(8+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(binary.NativeEndian.AppendUint16(b, 1), body...)
}

// Series makes a message of records.
func Series(records ...segmenttest.Record) []byte {
	var b []byte
	for _, r := range records {
		b = r.Append(b)
	}
	return Message(TypeSeries, b)
}

// Client is a connection and the rings of a client.
type Client struct {
	Socket         int
	Entries        uint32 // that the Collector wants
	Target, Sender *Ring
	Hello          Hello

	input []byte
}

// Dial connects and reads the greeting.
func Dial(socket string) (*Client, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make socket: %w", err)
	}
	c := &Client{Socket: fd}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	body, err := c.Receive(TypeGreeting)
	if err != nil {
		c.Close()
		return nil, err
	}
	c.Entries = binary.NativeEndian.Uint32(body)
	return c, nil
}

// Connect also makes rings, says hello and the series, and waits until the Collector is ready.
func Connect(socket string, h Hello, records ...segmenttest.Record) (*Client, error) {
	c, err := Dial(socket)
	if err != nil {
		return nil, err
	}
	if err = c.Rings(0); err == nil {
		err = c.Say(h, records...)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Rings makes the rings, the target with flags.
func (c *Client) Rings(flags uint32) (err error) {
	if c.Target, err = NewRing(1, c.Entries, flags); err != nil {
		return err
	}
	c.Sender, err = NewRing(256, 512, 0)
	return err
}

// Say says hello and the series, and waits until the Collector is ready.
func (c *Client) Say(h Hello, records ...segmenttest.Record) error {
	if c.Target != nil {
		h.Ring = c.Target.FD
	}
	c.Hello = h
	message := h.Bytes()
	if len(records) > 0 {
		message = append(message, Series(records...)...)
	}
	if err := c.Send(message); err != nil {
		return err
	}
	_, err := c.Receive(TypeReady)
	return err
}

// Send sends bytes, in as many pieces as it takes.
func (c *Client) Send(b []byte) error {
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.Socket, b, nil, nil, unix.MSG_NOSIGNAL)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("send: %w", err)
		}
		b = b[n:]
	}
	return nil
}

// Receive waits for a message of a type, or returns Refused, or the end of the connection.
func (c *Client) Receive(kind uint16) (body []byte, err error) {
	for {
		if len(c.input) >= 8 {
			size := binary.NativeEndian.Uint32(c.input)
			if uint32(len(c.input)) >= size {
				got, body := binary.NativeEndian.Uint16(c.input[4:]), c.input[8:size]
				c.input = c.input[size:]
				switch got {
				case kind:
					return body, nil
				case TypeRefused:
					return nil, Refused(body)
				}
				return nil, fmt.Errorf("message of type %d", got)
			}
		}
		b := make([]byte, 4096)
		n, _, err := unix.Recvfrom(c.Socket, b, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("receive: %w", err)
		case n == 0:
			return nil, os.ErrClosed
		}
		c.input = append(c.input, b[:n]...)
	}
}

// Word is an index and what it has come to.
type Word struct {
	Index int32
	Value uint64
}

// Tell posts words as a good client does: no more than there is room for, so that it waits for the Collector.
func (c *Client) Tell(words ...Word) error {
	for deadline := time.Now().Add(time.Minute); len(words) > 0; {
		n := min(len(words), int(c.Target.Room()), 256)
		if n == 0 {
			if time.Now().After(deadline) {
				return errors.New("the queue stays full")
			}
			time.Sleep(time.Millisecond)
			continue
		}
		if err := c.Flood(words[:n]...); err != nil {
			return err
		}
		words = words[n:]
	}
	return nil
}

// Flood posts words whether or not there is room.
func (c *Client) Flood(words ...Word) error {
	messages := make([]SQE, len(words))
	for i, w := range words {
		messages[i] = MsgRing(c.Target.FD, w.Index, w.Value)
	}
	return c.Sender.Post(c.Target.FD, messages...)
}

// Histogram are the words of a histogram at a slot.
func Histogram(slot int32, sum, zero uint64, buckets map[int]uint64) []Word {
	words := []Word{{slot + layout.HistogramSum, sum}, {slot + layout.HistogramZero, zero}}
	for i, n := range buckets {
		words = append(words, Word{slot + layout.HistogramFirstBucket + int32(i), n})
	}
	return words
}

// Hangup closes the connection and leaves the rings.
func (c *Client) Hangup() {
	if c.Socket >= 0 {
		_ = unix.Close(c.Socket)
		c.Socket = -1
	}
}

// Close gives everything back.
func (c *Client) Close() {
	c.Hangup()
	for _, r := range []*Ring{c.Target, c.Sender} {
		if r != nil {
			r.Close()
		}
	}
}
