package doctor

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	hotpath "github.com/hotpath-metrics/hotpath/client/go"
)

// What the process that counts does.
const (
	clientCommand = "client"
	// counting adds counted to a counter. quiet makes a gauge and never sets it: no Collector tells of such a process.
	counting = "count"
	quiet    = "quiet"

	counterName = "hotpath.doctor"
	counted     = 7
)

// told is what the process that counts says of itself.
type told struct {
	PID    int    `json:"pid"`
	Status string `json:"status"`
}

// newClientCommand is a program with hotpath's client, as the environment has it count.
func newClientCommand() *cobra.Command {
	return &cobra.Command{
		Use:    clientCommand,
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if args[0] == counting {
				hotpath.NewCounter(counterName).Add(counted)
			} else {
				hotpath.NewGauge(counterName)
			}
			hotpath.Flush()
			said := told{os.Getpid(), hotpath.Status()}
			if args[0] == quiet {
				removeSegment(said.Status)
			}
			if err := json.NewEncoder(c.OutOrStdout()).Encode(said); err != nil {
				return err
			}
			_, err := io.Copy(io.Discard, c.InOrStdin())
			return err
		},
	}
}

// removeSegment removes the file of a segment with nothing in it, which would stay until a Collector comes.
func removeSegment(status string) {
	if path, ok := publishedAt(status); ok {
		_ = os.Remove(path) // a Collector may have been quicker
	}
}

// child is a process that counts.
type child struct {
	told
	cmd   *exec.Cmd
	stdin io.Closer
	began time.Time
}

// startClient has a process count over a transport.
func startClient(transport, what string, environment ...string) (*child, error) {
	cmd := exec.Command("/proc/self/exe", "doctor", clientCommand, what) //nolint:gosec // this program
	cmd.Env = append(clean(os.Environ()), append(environment, "HOTPATH_TRANSPORT="+transport)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a client: %w", err)
	}
	c := &child{cmd: cmd, stdin: stdin, began: time.Now()}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &c.told)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hear of a client: %w", err), c.end())
	}
	return c, nil
}

// clean leaves out what would have the client count elsewhere.
func clean(environment []string) (kept []string) {
	for _, entry := range environment {
		if !strings.HasPrefix(entry, "HOTPATH_") {
			kept = append(kept, entry)
		}
	}
	return kept
}

// endUnnoticed lets the process end. A Collector with the source bpf complains of one with a memfd that ends before it could be read.
func (t *trial) endUnnoticed(c *child) error {
	if standingOf(bpfName, c.Status).works {
		time.Sleep(time.Until(c.began.Add(min(t.patience/4, 2*time.Second))))
	}
	return c.end()
}

// end lets the process end.
func (c *child) end() error {
	err := errors.Join(c.stdin.Close(), c.cmd.Wait())
	if err != nil {
		return fmt.Errorf("end a client: %w", err)
	}
	return nil
}
