package e2e

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Every series of a process that was killed gets its last value, and then one point without a value.
func TestSeriesOfTheDeadEnd(t *testing.T) {
	b := startBackend(t, nil)
	dir := directory(t)
	startCollector(t, settings{receiver: reading(dir, "100ms"), endpoint: b.endpoint()}.yaml())
	for name, c := range map[string]*client{"C": startC(t, dir, "commands"), "Go": startGo(t, dir, "commands")} {
		t.Run(name, func(t *testing.T) {
			c.do("add", 1)
			c.do("set", 3.5)
			c.do("open", -2)
			c.do("record", 100)
			b.await(10*time.Second, "counter", doneBy(c), counted(1))
			// Between two collections, so that only the dead segment can tell.
			c.do("add", 41)
			c.do("set", 4.5)
			c.kill()
			b.answer(func(request int) verdict { // the last values, and the points that end them
				return []verdict{accept, busy, accept, reset}[request%4]
			})
			eventually(t, 10*time.Second, "end of the four series", func() bool { return len(b.points(endOf(c))) >= 4 })
			b.answer(nil)
			time.Sleep(500 * time.Millisecond) // some collections more

			ends := map[string]int{}
			for _, p := range b.points(endOf(c)) {
				ends[p.name]++
			}
			for _, name := range []string{"job.done", "job.open", "job.level", "job.size"} {
				if ends[name] != 1 {
					t.Errorf("%s ended %d times", name, ends[name])
				}
			}
			all := b.points(from(c.pid()))
			for _, p := range all[len(all)-4:] {
				if !p.noValue {
					t.Errorf("%s has a value after the end", p.name)
				}
			}
			last := func(name string) point {
				p, _ := b.last(both(from(c.pid()), named(name)))
				return p
			}
			if done, open, level, size := last("job.done"), last("job.open"), last("job.level"), last("job.size"); done.integer != 42 ||
				open.integer != -2 || level.double != 4.5 || size.histogram != (histogram{count: 1, sum: 100, scale: 3}) {
				t.Errorf("last values are %v, %v, %v, %v", done.integer, open.integer, level.double, size.histogram)
			}
		})
	}
	if left := segments(t, dir); len(left) != 0 {
		t.Errorf("%v were left behind", left)
	}
}

// A copy of a segment looks like a segment of the dead. Whenever it appears, it adds nothing and ends nothing.
func TestCopiesOfSegmentsChangeNothing(t *testing.T) {
	b := startBackend(t, nil)
	dir, aside := directory(t), directory(t)
	yaml := settings{receiver: reading(dir, "100ms"), endpoint: b.endpoint()}.yaml()
	collector := startCollector(t, yaml)
	c := startC(t, dir, "commands")
	done := doneBy(c)
	c.do("add", 10)
	c.do("set", 1)
	b.await(10*time.Second, "counter", done, counted(10))
	original := filepath.Join(dir, segments(t, dir)[0])
	gone := func() bool { return len(segments(t, dir)) == 1 }

	copyFile(t, original, filepath.Join(dir, "copy"))
	copyFile(t, original, filepath.Join(aside, "copy"))
	eventually(t, 10*time.Second, "removal of the copy", gone)
	c.do("add", 10)
	b.await(10*time.Second, "growing counter", done, counted(20))

	// A Collector that starts finds both at once.
	collector.kill()
	for _, name := range []string{"0", "a", "z"} {
		copyFile(t, original, filepath.Join(dir, name))
	}
	c.do("add", 10)
	collector = startCollector(t, yaml)
	b.await(10*time.Second, "counter after a restart", done, counted(30))
	eventually(t, 10*time.Second, "removal of the copies", gone)

	// And one that comes after the end of the process.
	c.do("add", 10)
	c.kill()
	eventually(t, 10*time.Second, "end of the process", func() bool {
		return len(b.points(func(p *point) bool { return p.noValue && done(p) })) == 1
	})
	copyFile(t, filepath.Join(aside, "copy"), filepath.Join(dir, "copy"))
	eventually(t, 10*time.Second, "removal of the late copy", func() bool { return len(segments(t, dir)) == 0 })
	time.Sleep(300 * time.Millisecond)
	collector.terminate()

	points := b.points(named("job.done"))
	for i, p := range points {
		if p.who != points[0].who || i > 0 && p.integer < points[i-1].integer && !p.noValue || p.noValue && i != len(points)-1 {
			t.Fatalf("point %d of %d is %+v", i, len(points), p)
		}
	}
	if last := points[len(points)-2]; last.integer != 40 {
		t.Errorf("the last value is %d", last.integer)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	// As by cp(1): the reader may see it before it is complete.
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// A forked process that never counts is not seen, neither while it lives nor after.
func TestForkedProcessThatNeverCountsIsNotDelivered(t *testing.T) {
	b := startBackend(t, nil)
	dir := directory(t)
	startCollector(t, settings{receiver: reading(dir, "100ms"), endpoint: b.endpoint()}.yaml())
	c := startC(t, dir, "commands")
	c.do("add", 5)
	idle := c.do("fork")
	b.await(10*time.Second, "counter", doneBy(c), counted(5))
	b.rounds(3)
	if n := len(segments(t, dir)); n != 1 {
		t.Errorf("%d segments", n)
	}
	c.kill()
	eventually(t, 10*time.Second, "end of the process", func() bool { return len(segments(t, dir)) == 0 })
	if points := b.points(from(idle)); len(points) > 0 {
		t.Errorf("the idle process was delivered: %+v", points[0])
	}
}
