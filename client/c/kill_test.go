package c

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Eight processes of four threads are killed at random instants, over and over. For each thread, what is
// delivered is the number of adds it completed, or that plus the one in flight.
func TestKilledWritersLoseNothing(t *testing.T) {
	const processes, rounds = 8, 200
	program := compilers[0].compile(t, "testdata/exercise.c", "-lm")
	notes, adds := t.TempDir(), uint64(0)
	for round := range rounds {
		dir := directory(t)
		var clients []*client
		for i := range processes {
			clients = append(clients, launch(t, nil, program, dir, "killed", filepath.Join(notes, strconv.Itoa(i))))
		}
		for _, c := range clients {
			c.await()
		}
		for _, i := range rand.Perm(processes) {
			time.Sleep(rand.N(2 * time.Millisecond))
			if err := clients[i].cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		done := map[string][]byte{}
		for i, c := range clients {
			_ = c.cmd.Wait()
			progress, err := os.ReadFile(filepath.Join(notes, strconv.Itoa(i)))
			if err != nil {
				t.Fatal(err)
			}
			done[strconv.Itoa(c.cmd.Process.Pid)] = progress
		}
		r := collect(t, dir)
		if len(r.Processes) != processes {
			t.Fatalf("round %d: %d processes", round, len(r.Processes))
		}
		for _, p := range r.Processes {
			progress := done[p.Resource["process.pid"]]
			for thread := range 4 {
				completed := binary.NativeEndian.Uint64(progress[8*thread:])
				got := p.Counters["killed.adds{thread="+strconv.Itoa(thread)+"}"]
				if got != completed && got != completed+1 {
					t.Fatalf("round %d: delivered %d of %d", round, got, completed)
				}
				adds += completed
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d processes killed, %d adds", rounds*processes, adds)
}
