// Package quota bounds how many segments and series clients can make the collector hold, in all and of one owner.
package quota

// Limits are what there may be at most. Each is positive.
type Limits struct {
	// Segments of all users.
	Segments int `mapstructure:"segments"`
	// SegmentsPerUID are the segments of one user.
	SegmentsPerUID int `mapstructure:"segments_per_uid"`
	// Series of all users; one counts once more for each full KiB of its record, and so does a resource.
	Series int `mapstructure:"series"`
	// SeriesPerUID are the series of one user.
	SeriesPerUID int `mapstructure:"series_per_uid"`
	// SeriesPerSegment are the series of one segment.
	SeriesPerSegment int `mapstructure:"series_per_segment"`
}

// Quota is what has been charged against limits.
type Quota struct {
	limits Limits
	owners map[uint32]held // those that hold anything
	series int
}

type held struct{ segments, series int }

// New returns a quota of which nothing is taken.
func New(limits Limits) *Quota {
	return &Quota{limits: limits, owners: map[uint32]held{}}
}

// Charge adds what an owner holds more, or with a minus less.
func (q *Quota) Charge(uid uint32, segments, series int) {
	h := q.owners[uid]
	h.segments += segments
	h.series += series
	q.series += series
	if h == (held{}) {
		delete(q.owners, uid)
	} else {
		q.owners[uid] = h
	}
}

// Full says whether an owner has no room for another segment where there are so many of all owners. That number is
// the caller's: segments that it has closed, and goes on charging to their owner, may count no more in all.
func (q *Quota) Full(uid uint32, segments int) bool {
	return segments >= q.limits.Segments || q.owners[uid].segments >= q.limits.SegmentsPerUID
}

// Room is for how many more series an owner's segment has room that has been charged so many. It may be negative.
func (q *Quota) Room(uid uint32, charged int) int {
	return min(q.limits.Series-q.series, q.limits.SeriesPerUID-q.owners[uid].series, q.limits.SeriesPerSegment-charged)
}
