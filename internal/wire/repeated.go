package wire

// repeated is the last value of those that come again and again, such as the resources of the tasks of a launch, and how it is written: values that
// are shared do not change, so one at the same place is written the same. It lasts as long as a Writer, and so keeps no place from being used anew.
type repeated[T any] struct {
	at    *T // the first of n
	n     int
	bytes []byte
}

// again writes the n values at at if they are those that were kept.
func (r *repeated[T]) again(c *codec, at *T, n int) bool {
	if r.at != at || r.n != n || c.err != nil {
		return false
	}
	c.out.b = append(c.out.b, r.bytes...)
	return true
}

// keep remembers that what is written from from on are the n values at at, unless it is long.
func (r *repeated[T]) keep(c *codec, at *T, n, from int) {
	if c.err != nil || len(c.out.b)-from > textWindow {
		r.at = nil
		return
	}
	r.at, r.n = at, n
	r.bytes = append(r.bytes[:0], c.out.b[from:]...)
}

func (r *repeated[T]) forget() { r.at = nil }
