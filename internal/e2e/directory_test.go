package e2e

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The directory is removed and made again while clients run: the old ones are delivered on, new ones are found.
func TestReplacedDirectoryLosesNoClient(t *testing.T) {
	b := startBackend(t, nil)
	dir := filepath.Join(directory(t), "segments")
	startCollector(t, settings{receiver: reading(dir, "100ms"), endpoint: b.endpoint()}.yaml())
	var clients []*client
	for round := range 3 {
		c := startC(t, dir, "commands")
		if round == 1 {
			c = startGo(t, dir, "commands")
		}
		clients = append(clients, c)
		for i, c := range clients {
			c.do("add", 1)
			b.await(10*time.Second, fmt.Sprintf("value of client %d after %d removals", i, round),
				doneBy(c), counted(int64(round-i+1)))
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range clients {
		c.do("add", 100)
		c.kill()
		eventually(t, 10*time.Second, "end of a client whose file is gone", func() bool {
			return len(b.points(endOf(c))) > 0
		})
		if last, _ := b.last(doneBy(c)); last.integer != int64(103-i) {
			t.Errorf("last value of client %d is %d", i, last.integer)
		}
	}
}

func TestSecondCollectorOnADirectoryEnds(t *testing.T) {
	b := startBackend(t, nil)
	dir := directory(t)
	yaml := settings{receiver: reading(dir, "100ms"), endpoint: b.endpoint()}.yaml()
	first := startCollector(t, yaml)
	second := runCollector(t, yaml)
	if code := second.wait(30 * time.Second); code == 0 {
		t.Error("the second Collector ended with success")
	}
	if text := second.log.String(); !strings.Contains(text, dir) || !strings.Contains(text, "in use by another collector") {
		t.Error("the second Collector does not say why it ended")
	}
	c := startC(t, dir, "commands")
	c.do("add", 1)
	b.await(10*time.Second, "value through the first Collector", doneBy(c), counted(1))
	first.terminate()
}

// Whatever lies in the directory, a good client is delivered in time, and the Collector stays small.
func TestGarbageInTheDirectoryHarmsNobody(t *testing.T) {
	b := startBackend(t, nil)
	dir := directory(t)
	yaml := settings{receiver: reading(dir, "500ms"), endpoint: b.endpoint()}.yaml()
	collector := startCollector(t, yaml)
	good := startC(t, dir, "commands")
	done := doneBy(good)
	good.do("add", 1)
	b.await(10*time.Second, "good client", done, counted(1))
	before := collector.status("RssAnon")

	litter(t, dir, 20_000)
	good.do("add", 1)
	b.await(5*time.Second, "good client among garbage", done, counted(2))
	b.rounds(3)
	if grown := collector.status("RssAnon") - before; grown > 64<<10 {
		t.Errorf("the Collector grew by %d KiB", grown)
	}

	collector.kill()
	good.do("add", 1)
	collector = startCollector(t, yaml)
	b.await(5*time.Second, "good client after a restart", done, counted(3))
	if grown := collector.status("RssAnon") - before; grown > 64<<10 {
		t.Errorf("the Collector is %d KiB larger when it starts among garbage", grown)
	}
	collector.terminate()
	var others int
	for _, p := range b.points(func(p *point) bool { return p.who.pid != int64(good.pid()) }) {
		if others++; others < 5 {
			t.Errorf("garbage was delivered: %+v", p)
		}
	}
}

// litter fills a directory with n files that are no segments, and one of everything else.
func litter(t *testing.T, dir string, n int) {
	t.Helper()
	noise := make([]byte, 512)
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("%d-%016x", i, i))
		var content []byte
		if i%10 < 2 { // no more, for the sake of a small tmpfs
			_, _ = rand.Read(noise)
			content = noise
			if i%10 == 1 {
				content = append([]byte("HOTPATH\n\x01\x00\x00\x00\x00\x00\x00\x00"), noise...)
			}
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if i%10 == 2 { // a sparse giant
			if err := os.Truncate(path, 1<<40); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	socket, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	for what, err := range map[string]error{
		"FIFO":          syscall.Mkfifo(at("fifo"), 0o600),
		"symbolic link": os.Symlink("/dev/zero", at("link")),
		"loop":          os.Symlink(at("loop"), at("loop")),
		"hard link":     os.Link(at("0-0000000000000000"), at("hard")),
		"directory":     os.MkdirAll(at("directory/below"), 0o700),
		"odd name":      os.WriteFile(at("\xff\n\"{}"), noise, 0o600),
	} {
		if err != nil {
			t.Fatalf("make %s: %v", what, err)
		}
	}
}
