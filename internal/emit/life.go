package emit

import "time"

// Life brings a [Process] through its states. A source calls, for each of its processes,
//
//	Collect:  l.Advance(dead), then l.Begin(sink) before each value
//	Commit:   l.Commit(), and forgets those that are over
//
// A dead process is [Final] until a Commit, then [Gone] until the next, then over. Gone
// processes name each series once more, with whatever value.
type Life struct {
	Process

	begun  bool // by the sink, in this collection
	ended  bool // nothing is left but to tell its end
	handed bool // over, by the last collection, in State
}

// Advance begins a collection. The state is in State then.
func (l *Life) Advance(dead bool) {
	switch {
	case l.ended:
		l.State = Gone
	case dead:
		l.State = Final
	default:
		l.State = Live
	}
	l.begun = false
	l.handed = true
}

// Hold takes back what earlier collections handed over and nobody accepted, for a collection that may be
// broken off before it comes to the process.
func (l *Life) Hold() { l.handed = false }

// End says that nothing is left of the process but its end to be told.
func (l *Life) End() { l.ended = true }

// Ended says that the last values were accepted, or [Life.End] was called.
func (l *Life) Ended() bool { return l.ended }

// Begin names the process to the sink, once a collection.
func (l *Life) Begin(sink Sink) {
	if !l.begun {
		l.begun = true
		sink.Process(&l.Process)
	}
}

// Commit takes what was handed over since Advance as accepted. It returns whether nothing is left to be told.
func (l *Life) Commit() (over bool) {
	if !l.handed {
		return false // it came after the collection
	}
	l.handed = false
	l.ended = l.ended || l.State == Final
	return l.State == Gone
}

// Bound takes times back that lie after now, in UNIX nanoseconds, for good: the clock was set back, or a client lies. A start that
// moved with the clock would be a reset at each collection. The batch has begun a little before now, and its points
// may not start after it: hence the second.
func (l *Life) Bound(now int64) {
	past := now - int64(time.Second)
	if l.Start > now {
		l.Start = past
	}
	if l.Time > now {
		l.Time = max(l.Start, past)
	}
}
