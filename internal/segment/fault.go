package segment

import "fmt"

// Fault is what is wrong at one place of a segment. It wraps its reason.
type Fault struct {
	Reason Reason
	// Offset is where the field is, in bytes from the start of the file.
	Offset int64
	// Field is its name in docs/segment-format.md.
	Field string
	// Text is what was read or, where it is nil, Number. It may be part of the bytes that were parsed.
	Text   []byte
	Number uint64
	// Want is what the format asks for.
	Want string
}

// Read is what was read, printable whatever it is.
func (f *Fault) Read() string {
	const most = 64
	switch {
	case f.Text == nil:
		return fmt.Sprintf("%d", f.Number)
	case len(f.Text) > most:
		return fmt.Sprintf("%+q...", f.Text[:most])
	default:
		return fmt.Sprintf("%+q", f.Text)
	}
}

func (f *Fault) Error() string {
	return fmt.Sprintf("%v: %s %s at %d: want %s", f.Reason, f.Field, f.Read(), f.Offset, f.Want)
}

func (f *Fault) Unwrap() error { return f.Reason }
