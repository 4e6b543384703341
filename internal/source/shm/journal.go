package shm

import (
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/journal"
)

// journalName is the file in which a collector keeps what it read out of measurement rings.
const journalName = ".rings"

// keepJournal goes on from what an earlier collector read out of rings. In a directory of another user, who may write there
// whatever he likes, nothing is kept.
func (s *source) keepJournal() {
	var st unix.Stat_t
	if unix.Fstat(s.dir.fd, &st) != nil || int(st.Uid) != os.Geteuid() {
		return
	}
	j, known, err := journal.Open(s.dir.fd, journalName)
	if err != nil {
		s.logger.Warn("Cannot keep what is read out of measurement rings", zap.Error(err))
	}
	if j != nil {
		s.set.Keep(j, known)
	}
}
