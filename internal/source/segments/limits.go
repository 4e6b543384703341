package segments

import "golang.org/x/sys/unix"

// Limits bound what clients can make the collector hold. Each is positive.
type Limits struct {
	// Segments is how many are held open at most, SegmentsPerUID of one owner. A fourth of the process's
	// descriptors, 64 at most, is left to the rest of the Collector in any case.
	Segments, SegmentsPerUID int
	// Series is how many are delivered at most, SeriesPerUID of one owner and SeriesPerSegment of one segment.
	// A series counts as one more for each full KiB of its catalogue record, and so does a resource.
	Series, SeriesPerUID, SeriesPerSegment int
	// SegmentSize is how many bytes of one segment are read in one collection at most, a stripe's
	// rounded up to whole pages of 4 KiB. [Set.Finish] adds to the values that are kept of segments that ended up to as much in all.
	SegmentSize int64
}

type owner struct{ segments, series int }

// Len is how many segments are open.
func (s *Set) Len() int { return len(s.segments) }

// Full says whether there is no room for another segment of an owner.
func (s *Set) Full(uid uint32) bool {
	return len(s.segments) >= s.limits.Segments || s.owners[uid].segments >= s.limits.SegmentsPerUID
}

// room is how much more a segment's catalogue may charge.
func (s *Set) room(seg *Segment) int {
	return min(s.limits.Series-s.series, s.limits.SeriesPerUID-s.owners[seg.UID].series,
		s.limits.SeriesPerSegment-seg.catalogue.Charged)
}

func (s *Set) addOwner(uid uint32, segments, series int) {
	o := s.owners[uid]
	o.segments += segments
	o.series += series
	s.series += series
	if o == (owner{}) {
		delete(s.owners, uid)
	} else {
		s.owners[uid] = o
	}
}

// maxReserve is how many descriptors are left to the rest of the Collector where there are plenty: were all of
// them spent on segments, no exporter could connect, and nothing would ever be delivered and released.
const maxReserve = 64

// reserved says whether a descriptor that was just opened is one of those. The kernel hands out the
// lowest free number, so that a high one says how many are taken, by whomever.
func reserved(fd int) bool {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	return uint64(fd) >= limit.Cur-min(maxReserve, limit.Cur/4)
}
