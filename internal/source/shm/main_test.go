package shm

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/hotpath-metrics/hotpath/internal/segment/segmenttest"
)

// childEnv makes this binary a client: it publishes a segment in the named directory, and counts in it.
const childEnv = "HOTPATH_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		runChild(dir)
	}
	if path := os.Getenv(ringerEnv); path != "" {
		ringForever(path)
	}
	if dir := os.Getenv(collectorEnv); dir != "" {
		collectForever(dir)
	}
	startPoller()
	before := openDescriptors()
	code := m.Run()
	if code == 0 && flag.Lookup("test.cpuprofile").Value.String() == "" {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if after := openDescriptors(); after > before {
			fmt.Fprintf(os.Stderr, "%d descriptors before, %d after all tests\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
}

// startPoller makes the runtime open its epoll instance now, so that it is no leak later.
func startPoller() {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	r.Close()
	w.Close()
}

func openDescriptors() int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	return len(names)
}

func runChild(dir string) {
	live, err := segmenttest.Publish(dir, fmt.Sprint(os.Getpid()), segmenttest.Segment{
		PID: uint64(os.Getpid()) + 1_000_000, ID: uint64(os.Getpid()),
		Records: []segmenttest.Record{segmenttest.Resource(), segmenttest.Counter(1, "requests")},
	}.Bytes())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	counter := live.Word(segmenttest.StripeWord(0, 1))
	os.Stdout.WriteString("ready\n")
	progress := make([]byte, 8)
	for n := uint64(1); ; n++ {
		counter.Store(n)
		segmenttest.Put(progress, 0, n)
		// Completed before it is told: what the parent read, it must find.
		if _, err := os.Stdout.Write(progress); err != nil {
			os.Exit(0)
		}
	}
}
