package doctor

import "strings"

// standing is what a client's status says of a transport.
type standing struct {
	works bool
	// why says why it does not, or why nobody hears it yet.
	why string
}

// published is what the status of a client with a file has before its path.
const published = "series in "

// publishedAt is the path in the status of a client that has a file.
func publishedAt(status string) (path string, ok bool) {
	_, path, ok = strings.Cut(status, published)
	path, _, _ = strings.Cut(path, ";")
	if path = strings.TrimSuffix(path, "."); !strings.HasPrefix(path, "/") {
		return "", false
	}
	return path, ok
}

// standingOf reads the sentence that hotpath.Status returns, with which users are told.
func standingOf(transport, status string) standing {
	works := map[string]string{
		shmName:        published + "/",
		userEventsName: "writes user_events of them",
		bpfName:        "as a memfd for a Collector with the source bpf",
		uringName:      "by io_uring",
	}[transport]
	s := standing{works: strings.Contains(status, works)}
	if transport == uringName && strings.Contains(status, "io_uring is not to be had") {
		s.works = false
		_, status, _ = strings.Cut(status, "io_uring is not to be had")
	}
	if s.why = parenthesis(status); s.why == "" && !s.works {
		s.why = strings.TrimSuffix(status, ".")
	}
	return s
}

// parenthesis returns what stands in the first one, with those in it.
func parenthesis(s string) string {
	begin := strings.IndexByte(s, '(')
	depth := 0
	for i := begin; i >= 0 && i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[begin+1 : i]
			}
		}
	}
	return ""
}
