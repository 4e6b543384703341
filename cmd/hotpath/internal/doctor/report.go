package doctor

// Report is what doctor found out. Its JSON is what --json prints.
type Report struct {
	Machine Machine            `json:"machine"`
	Sources map[string]Verdict `json:"sources"`
	Clients map[string]Verdict `json:"clients"`
	// Config is about what --config asks for.
	Config []Asked `json:"config,omitempty"`
	Notes  []Note  `json:"notes,omitempty"`
}

// Verdict says whether one way of counting works.
type Verdict struct {
	Available bool   `json:"available"`
	Reason    string `json:"reason"`
	// Fix is the one command or setting that makes it available, "" where it is.
	Fix string `json:"fix"`
	// InUse says that a Collector has it now.
	InUse string `json:"in_use,omitempty"`
	Notes []Note `json:"notes,omitempty"`
	// Probes is about the probes of bpf, which need other rights than segments.
	Probes *Verdict `json:"probes,omitempty"`
}

// Note is worth a word and keeps nothing from working.
type Note struct {
	Text string `json:"text"`
	Fix  string `json:"fix,omitempty"`
}

// Asked is a source that a Collector's configuration asks for.
type Asked struct {
	// Key is where, as in receivers::hotpath/a::bpf.
	Key      string `json:"key"`
	Receiver string `json:"receiver"`
	Source   string `json:"source"`
	// Optional says that the receiver starts without it; Unused, that no pipeline has the receiver.
	Optional bool `json:"optional"`
	Unused   bool `json:"unused,omitempty"`
	Verdict
}

// The four ways of counting, in the order in which they are shown.
const (
	shmName        = "shm"
	userEventsName = "user_events"
	bpfName        = "bpf"
	uringName      = "io_uring"

	// probesName is the check of the other thing that bpf does.
	probesName = "probes"
)

var names = []string{shmName, userEventsName, bpfName, uringName}

// Exit statuses.
const (
	noSource    = 1
	notAsAsked  = 2
	fineOutcome = 0
)

// status is what the process ends with.
func (r *Report) status() int {
	for _, a := range r.Config {
		if !a.Available && !a.Optional && !a.Unused {
			return notAsAsked
		}
	}
	for _, v := range r.Sources {
		if v.Available {
			return fineOutcome
		}
	}
	return noSource
}
