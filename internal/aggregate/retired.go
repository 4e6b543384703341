package aggregate

// retirees lists the totals to which no process adds any more, in the order in which they were left.
type retirees struct {
	oldest, newest *total
	len            int
}

func (r *retirees) has(t *total) bool { return t.older != nil || t.newer != nil || r.oldest == t }

func (r *retirees) add(t *total) {
	t.older = r.newest
	if r.newest != nil {
		r.newest.newer = t
	} else {
		r.oldest = t
	}
	r.newest = t
	r.len++
}

func (r *retirees) remove(t *total) {
	if !r.has(t) {
		return
	}
	if t.older != nil {
		t.older.newer = t.newer
	} else {
		r.oldest = t.newer
	}
	if t.newer != nil {
		t.newer.older = t.older
	} else {
		r.newest = t.older
	}
	t.older, t.newer = nil, nil
	r.len--
}
