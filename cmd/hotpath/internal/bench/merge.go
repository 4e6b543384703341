package bench

// merge takes from an emulated machine the rows of mechanisms that are not available here.
func (r *Result) merge(other *Result) {
	if r.Machine.Emulated {
		for _, row := range r.Rows {
			row.Emulated = true
		}
	}
	if other == nil || !other.Machine.Emulated {
		return
	}
	for i, row := range r.Rows {
		if there := other.row(row.Name); there != nil && !row.Available && there.Available {
			there.Emulated, there.Available, there.Reason = true, false, row.Reason
			there.state, there.needs = row.state, row.needs
			r.Rows[i] = there
			r.Notes = append(r.Notes, "* "+there.Title+" was measured on an emulated machine ("+other.Machine.CPU+", Linux "+other.Machine.Kernel+"), of which only ratios count.")
		}
	}
}
