package eventheader

// Cached is how many bytes of metadata the decoder keeps.
func (d *Decoder) Cached() (n int) {
	for _, cache := range d.layouts {
		for metadata := range cache {
			n += len(metadata)
		}
	}
	return n
}
