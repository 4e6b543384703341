package bench

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress says on a terminal what goes on: on one line that is written over, or, elsewhere, a line for each phase.
type progress struct {
	out      io.Writer // nil for none
	terminal bool

	mu    sync.Mutex
	began time.Time
}

const progressWidth = 78

func (p *progress) phase(what string) { p.show(what, -1) }

// part of a phase that is done, on a terminal.
func (p *progress) part(what string, done float64) {
	if p.terminal {
		p.show(what, done)
	}
}

func (p *progress) show(what string, done float64) {
	if p.out == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.IsZero() {
		p.began = time.Now()
	}
	line := fmt.Sprintf("%3.0f s  %s", time.Since(p.began).Seconds(), what)
	if done >= 0 {
		line += fmt.Sprintf(" %3.0f %%", 100*done)
	}
	if p.terminal {
		fmt.Fprintf(p.out, "\r%-*.*s", progressWidth, progressWidth, line)
		return
	}
	fmt.Fprintf(p.out, "%s\n", line)
}

// end takes the line away.
func (p *progress) end() {
	if p.out != nil && p.terminal {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", progressWidth))
	}
}
