package shm

import (
	"os"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hotpath-metrics/hotpath/internal/journal"
)

// journalName is the file in which a collector keeps what it read out of measurement rings.
const journalName = ".rings"

// keepJournal goes on from what an earlier collector read out of rings. In a directory of another user than root, who may put
// back there what was true once, nothing is kept.
func (s *source) keepJournal() {
	var st unix.Stat_t
	if err := unix.Fstat(s.dir.fd, &st); err != nil || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		s.logger.Warn("What is read out of measurement rings is not kept for the Collector's next start, as the segment directory belongs to another user",
			zap.Uint32("uid", st.Uid), zap.Error(err))
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
