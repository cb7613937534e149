package core

import "github.com/meros-project/meros/offer/resource"

// The dimensions of a vector.
const (
	dimCPUs = iota
	dimMem
	dimDisk
	dimGPUs
	dimPorts
	dims
)

var dimNames = [dims]string{resource.CPUs, resource.Mem, resource.Disk, resource.GPUs, resource.Ports}

// A vector is amounts of the resources by which offers are searched: thousandths, and a number of ports.
type vector [dims]int64

func (v *vector) covers(want *vector) bool {
	return v[0] >= want[0] && v[1] >= want[1] && v[2] >= want[2] && v[3] >= want[3] && v[4] >= want[4]
}

func (v *vector) raise(o *vector) {
	for d := range v {
		v[d] = max(v[d], o[d])
	}
}

// plain reports whether a task that asks for no more than names and amounts can use the entry.
func plain(r *resource.Resource) bool { return r.Volume == nil && !r.Revocable && !r.Shared }

// measure sums up what is plain.
func measure(rs resource.Resources) (v vector) {
	for i := range rs {
		r := &rs[i]
		if !plain(r) {
			continue
		}
		switch {
		case r.Type == resource.RangesType && r.Name == resource.Ports:
			v[dimPorts] += int64(min(r.Ranges.Count(), 1<<40))
		case r.Type != resource.ScalarType:
		case r.Name == resource.CPUs:
			v[dimCPUs] += int64(r.Scalar)
		case r.Name == resource.Mem:
			v[dimMem] += int64(r.Scalar)
		case r.Name == resource.Disk:
			v[dimDisk] += int64(r.Scalar)
		case r.Name == resource.GPUs:
			v[dimGPUs] += int64(r.Scalar)
		}
	}
	return v
}

const fan = 16

// A tree finds slots that are large enough. levels[0] is the slots' own vectors, each higher level the greatest of 16 below.
type tree struct {
	slots  []*slot
	levels [][]vector
	turn   int // where the next search begins
}

// A place is where a slot is in a tree.
type place struct {
	tree *tree
	pos  int
}

func (t *tree) add(s *slot) {
	s.places = append(s.places, place{t, len(t.slots)})
	t.slots = append(t.slots, s)
}

// build makes the levels once all slots are there.
func (t *tree) build() {
	own := make([]vector, len(t.slots))
	for i, s := range t.slots {
		own[i] = s.free
	}
	t.levels = [][]vector{own}
	for below := own; len(below) > 1; {
		above := make([]vector, (len(below)+fan-1)/fan)
		for i := range below {
			above[i/fan].raise(&below[i])
		}
		t.levels = append(t.levels, above)
		below = above
	}
}

// update follows a change of the slot at pos.
func (t *tree) update(pos int, v vector) {
	t.levels[0][pos] = v
	for l := 1; l < len(t.levels); l++ {
		group := pos / fan
		below := t.levels[l-1]
		most := below[group*fan]
		for i := group*fan + 1; i < min(group*fan+fan, len(below)); i++ {
			most.raise(&below[i])
		}
		if t.levels[l][group] == most {
			return
		}
		t.levels[l][group] = most
		pos = group
	}
}

// next returns the first position from pos on, below end, that covers want; -1 if there is none.
func (t *tree) next(pos, end int, want *vector) int {
	for pos < end {
		skip := 0
		for l, span := 1, fan; l < len(t.levels); l, span = l+1, span*fan {
			if t.levels[l][pos/span].covers(want) {
				break
			}
			skip = span
		}
		if skip > 0 {
			pos = (pos/skip + 1) * skip
			continue
		}
		for stop := min((pos/fan+1)*fan, end); pos < stop; pos++ {
			if t.levels[0][pos].covers(want) {
				return pos
			}
		}
	}
	return -1
}

// most is the greatest there is in each dimension.
func (t *tree) most() vector {
	if len(t.slots) == 0 {
		return vector{}
	}
	return t.levels[len(t.levels)-1][0]
}

// largest is a slot that has the most of one dimension.
func (t *tree) largest(d int) *slot {
	pos := 0
	for l := len(t.levels) - 2; l >= 0; l-- {
		below := t.levels[l]
		best := pos * fan
		for i := best + 1; i < min(pos*fan+fan, len(below)); i++ {
			if below[i][d] > below[best][d] {
				best = i
			}
		}
		pos = best
	}
	return t.slots[pos]
}
