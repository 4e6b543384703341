package reading

import "slices"

// Choice is which processes are of interest; one that is empty includes all.
type Choice struct {
	PIDs     []int64
	Services []string
	Commands []string
}

func (c *Choice) includes(p *Process) bool {
	return (len(c.PIDs) == 0 || slices.Contains(c.PIDs, p.PID)) &&
		(len(c.Services) == 0 || slices.Contains(c.Services, p.Service)) &&
		(len(c.Commands) == 0 || slices.Contains(c.Commands, p.Command))
}
