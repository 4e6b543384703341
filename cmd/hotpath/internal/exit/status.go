// Package exit has what commands of the tool end with.
package exit

import "fmt"

// Usage is for what could not be begun: a flag that does not exist, a file that cannot be read.
const Usage = 64

// Status ends the process, when everything that there is to say was printed.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }
