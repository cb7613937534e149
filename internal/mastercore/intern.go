package mastercore

import (
	"encoding/binary"

	"github.com/meros-project/meros/offer/resource"
)

// interner keeps one copy of each distinct value, counted. Handles start at 1; 0 is the absence of a value. Freed handles are used
// again, last freed first, so that equal histories give equal handles.
type interner[V any] struct {
	entries pages[interned[V]]
	byKey   map[string]uint32 // looked up, never ranged over
	free    []uint32
	next    uint32
}

type interned[V any] struct {
	key   string
	value V
	refs  uint32
}

func newInterner[V any]() interner[V] {
	return interner[V]{byKey: map[string]uint32{}, next: 1}
}

// find returns the handle of a key and counts one more reference, or 0.
func (in *interner[V]) find(key []byte) uint32 {
	h, ok := in.byKey[string(key)]
	if !ok {
		return 0
	}
	in.entries.mut(h).refs++
	return h
}

func (in *interner[V]) add(key []byte, value V) uint32 {
	h := in.next
	if n := len(in.free); n > 0 {
		h, in.free = in.free[n-1], in.free[:n-1]
	} else {
		in.next++
	}
	text := string(key)
	*in.entries.mut(h) = interned[V]{key: text, value: value, refs: 1}
	in.byKey[text] = h
	return h
}

// release gives one reference back.
func (in *interner[V]) release(h uint32) {
	if h == 0 {
		return
	}
	e := in.entries.mut(h)
	e.refs--
	if e.refs == 0 {
		delete(in.byKey, e.key)
		*e = interned[V]{}
		in.free = append(in.free, h)
	}
}

// resourceTable interns resources, so that a thousand equal tasks hold one copy.
type resourceTable struct {
	interner[resource.Resources]
	scratch []byte
}

func (t *resourceTable) intern(r resource.Resources) uint32 {
	if len(r) == 0 {
		return 0
	}
	// Where a volume is mounted is not part of its identity, but must not be lost.
	t.scratch = r.AppendKey(t.scratch[:0])
	for i := range r {
		if v := r[i].Volume; v != nil {
			t.scratch = appendString(t.scratch, v.ContainerPath)
			if v.ReadOnly {
				t.scratch = append(t.scratch, 1)
			}
		}
	}
	if h := t.find(t.scratch); h != 0 {
		return h
	}
	return t.add(t.scratch, r)
}

func (t *resourceTable) of(h uint32) resource.Resources { return resourcesAt(&t.entries, h) }

func resourcesAt(p *pages[interned[resource.Resources]], h uint32) resource.Resources {
	if h == 0 {
		return nil
	}
	return p.get(h).value
}

// nameTable interns role names.
type nameTable struct {
	interner[struct{}]
	scratch []byte
}

func (t *nameTable) intern(s string) uint32 {
	t.scratch = append(t.scratch[:0], s...)
	if h := t.find(t.scratch); h != 0 {
		return h
	}
	return t.add(t.scratch, struct{}{})
}

// labelTable packs labels. A pair is written out the first time it is seen and interned the second time, and so is a key whose values
// differ; whether one was seen is a fixed-size table of hashes, so that labels which never repeat cost no more than their bytes.
type labelTable struct {
	interner[struct{}]
	seen    []uint32
	scratch []byte
}

const seenSize = 1 << 16

func newLabelTable() labelTable {
	return labelTable{interner: newInterner[struct{}](), seen: make([]uint32, seenSize)}
}

// What a packed label begins with, in the low bit of a number above 0; 0 itself is followed by key and value.
const (
	packedPair = 0 // the handle of a pair
	packedKey  = 1 // the handle of a key, followed by the value
)

// append writes one label to a task's description.
func (t *labelTable) append(dst []byte, l resource.Label, seed uint64) []byte {
	t.scratch = append(appendString(t.scratch[:0], l.Key), l.Value...)
	if h := t.repeated(t.scratch, seed); h != 0 {
		return binary.AppendUvarint(dst, uint64(h)<<1|packedPair)
	}
	t.scratch = appendString(t.scratch[:0], l.Key)
	if h := t.repeated(t.scratch, seed); h != 0 {
		return appendString(binary.AppendUvarint(dst, uint64(h)<<1|packedKey), l.Value)
	}
	return appendString(appendString(append(dst, 0), l.Key), l.Value)
}

// repeated returns the handle of what was seen before, or 0 the first time.
func (t *labelTable) repeated(key []byte, seed uint64) uint32 {
	if h := t.find(key); h != 0 {
		return h
	}
	sum := hashBytes(seed, key)
	at := &t.seen[sum%seenSize]
	mark := uint32(sum>>32) | 1
	if *at == mark {
		return t.add(key, struct{}{})
	}
	*at = mark
	return 0
}

// cutLabel reads one packed label. It returns the handle that it refers to, if any.
func cutLabel(packed string, p *pages[interned[struct{}]]) (l resource.Label, h uint32, rest string) {
	n, rest := cutNumber(packed)
	h = uint32(n >> 1)
	switch {
	case n == 0:
		l.Key, rest, _ = cutString(rest)
		l.Value, rest, _ = cutString(rest)
	case n&1 == packedPair:
		if p != nil {
			l.Key, l.Value, _ = cutString(p.get(h).key)
		}
	default:
		if p != nil {
			l.Key, _, _ = cutString(p.get(h).key)
		}
		l.Value, rest, _ = cutString(rest)
	}
	return l, h, rest
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// cutString reads what appendString wrote; the result shares the memory of s.
func cutString(s string) (first, rest string, ok bool) {
	n, rest := cutNumber(s)
	if n > uint64(len(rest)) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

func cutNumber(s string) (n uint64, rest string) {
	for shift := 0; len(s) > 0; shift += 7 {
		b := s[0]
		s = s[1:]
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	return n, s
}
