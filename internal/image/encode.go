package image

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"unsafe"
)

// A Codec encodes and decodes values of *T. It is not safe for concurrent use.
type Codec[T any] struct {
	plans   *planner
	root    *plan
	behind  []*plan // concrete types of interfaces, by number
	numbers map[reflect.Type]int
	print   string
	enc     encoder // its memory is used again
}

// New returns a Codec of T. Behind are values of the concrete types that interfaces within T may hold, in an order of no importance; their
// content is not read. Fields in skip are left at zero.
func New[T any](behind []any, skip ...Field) (*Codec[T], error) {
	c := &Codec[T]{plans: newPlanner(skip...), numbers: map[reflect.Type]int{}}
	var err error
	if c.root, err = c.plans.of(reflect.TypeFor[T]()); err != nil {
		return nil, err
	}
	types := make([]reflect.Type, len(behind))
	for i, v := range behind {
		types[i] = reflect.TypeOf(v)
	}
	slices.SortFunc(types, func(a, b reflect.Type) int {
		if x, y := full(a), full(b); x != y {
			if x < y {
				return -1
			}
			return 1
		}
		return 0
	})
	for _, t := range slices.Compact(types) {
		p, err := c.plans.of(t)
		if err != nil {
			return nil, err
		}
		c.numbers[t] = len(c.behind)
		c.behind = append(c.behind, p)
	}
	h := sha256.New()
	var one [2]byte
	binary.NativeEndian.PutUint16(one[:], 1)
	fmt.Fprintf(h, "1 %x %s %d\n", one, runtime.GOARCH, len(c.behind))
	for _, p := range c.plans.order {
		fmt.Fprintln(h, p.describe())
	}
	c.print = hex.EncodeToString(h.Sum(nil)[:12])
	return c, nil
}

func full(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		return "*" + full(t.Elem())
	}
	return t.PkgPath() + "." + t.String()
}

// Fingerprint is a short text that is the same for programs that can read each other's images.
func (c *Codec[T]) Fingerprint() string { return c.print }

// encoder writes objects (what a pointer or slice refers to, and maps) in the order in which they are first referred to: a reference is the
// object's number, and its content follows in its turn. So neither depth nor cycles matter.
type encoder struct {
	b      []byte
	known  map[object]uint64
	queue  []object
	number map[reflect.Type]int
	plans  *planner
	err    error
}

// object is a piece of memory: n values in a row, or one if the plan is a pointer's, or a map.
type object struct {
	p    unsafe.Pointer
	plan *plan
	n    int
}

// References: what is not one of these is an object's number.
const (
	refNil   = 0
	refEmpty = 1 // a slice without elements that is not nil
	refFirst = 2
)

// Encode appends the image of what root points to. It only reads. An interface that holds a type that the Codec was not told of is an error.
func (c *Codec[T]) Encode(dst []byte, root *T) ([]byte, error) {
	e := &c.enc
	e.b, e.err, e.number, e.plans = dst, nil, c.numbers, c.plans
	if e.known == nil {
		e.known = map[object]uint64{}
	}
	clear(e.known)
	e.queue = append(e.queue[:0], object{unsafe.Pointer(root), c.root, 1})
	e.known[object{unsafe.Pointer(root), c.root, -1}] = refFirst
	for i := 0; i < len(e.queue) && e.err == nil; i++ {
		e.content(e.queue[i])
	}
	clear(e.queue)
	clear(e.known)
	out := e.b
	e.b = nil
	if e.err != nil {
		return dst, e.err
	}
	return out, nil
}

func (e *encoder) content(o object) {
	if o.plan.shape == mapping {
		e.mapped(o)
		return
	}
	if o.plan.shape == raw {
		e.b = append(e.b, unsafe.Slice((*byte)(o.p), uintptr(o.n)*o.plan.size)...)
		return
	}
	for i := range o.n {
		e.value(o.plan, unsafe.Add(o.p, uintptr(i)*o.plan.size))
	}
}

func (e *encoder) value(p *plan, at unsafe.Pointer) {
	switch p.shape {
	case raw:
		e.b = append(e.b, unsafe.Slice((*byte)(at), p.size)...)
	case text:
		s := *(*string)(at)
		e.b = append(binary.AppendUvarint(e.b, uint64(len(s))), s...)
	case moment:
		e.b = appendTime(e.b, at)
	case structure:
		for i := range p.fields {
			e.value(p.fields[i].plan, unsafe.Add(at, p.fields[i].at))
		}
	case array:
		for i := range p.n {
			e.value(p.elem, unsafe.Add(at, uintptr(i)*p.elem.size))
		}
	case slice:
		e.slice(p, (*header)(at))
	case pointer:
		e.pointer(p, *(*unsafe.Pointer)(at))
	case mapping:
		if m := *(*unsafe.Pointer)(at); m == nil {
			e.b = append(e.b, refNil)
		} else if e.refer(object{m, p, -1}) {
			e.queue = append(e.queue, object{at, p, 1})
		}
	case iface:
		e.iface(p, at)
	case nothing:
	}
}

// header is how a slice lies in memory.
type header struct {
	data     unsafe.Pointer
	len, cap int
}

func (e *encoder) slice(p *plan, h *header) {
	switch {
	case h.data == nil:
		e.b = append(e.b, refNil)
	case h.len == 0:
		e.b = append(e.b, refEmpty)
	case e.refer(object{h.data, p, h.len}):
		e.b = binary.AppendUvarint(e.b, uint64(h.len))
		e.queue = append(e.queue, object{h.data, p.elem, h.len})
	}
}

func (e *encoder) pointer(p *plan, to unsafe.Pointer) {
	if to == nil {
		e.b = append(e.b, refNil)
	} else if e.refer(object{to, p.elem, -1}) {
		e.queue = append(e.queue, object{to, p.elem, 1})
	}
}

// refer writes a reference and reports whether it is the first one.
func (e *encoder) refer(o object) bool {
	n, known := e.known[o]
	if !known {
		n = uint64(len(e.known)) + refFirst
		e.known[o] = n
	}
	e.b = binary.AppendUvarint(e.b, n)
	return !known
}

func (e *encoder) iface(p *plan, at unsafe.Pointer) {
	v := reflect.NewAt(p.typ, at).Elem()
	if v.IsNil() {
		e.b = append(e.b, 0)
		return
	}
	v = v.Elem()
	n, ok := e.number[v.Type()]
	if !ok {
		e.err = fmt.Errorf("image: %s holds a %s, which the codec was not told of", p.typ, v.Type())
		return
	}
	e.b = binary.AppendUvarint(e.b, uint64(n)+1)
	of := e.plans.plans[v.Type()]
	if of.shape == pointer {
		e.pointer(of, v.UnsafePointer())
		return
	}
	box := reflect.New(v.Type())
	box.Elem().Set(v)
	e.value(of, box.UnsafePointer())
}

func (e *encoder) mapped(o object) {
	m := reflect.NewAt(o.plan.typ, o.p).Elem()
	e.b = binary.AppendUvarint(e.b, uint64(m.Len()))
	k, v := reflect.New(o.plan.typ.Key()), reflect.New(o.plan.typ.Elem())
	for it := m.MapRange(); it.Next(); {
		k.Elem().SetIterKey(it)
		v.Elem().SetIterValue(it)
		e.value(o.plan.key, k.UnsafePointer())
		e.inline(o.plan.elem, v)
	}
}

// inline writes a map's value. What is referred to by its address would be a copy's, so a map within a map is queued from one of its own.
func (e *encoder) inline(p *plan, v reflect.Value) {
	if p.shape == mapping || p.shape == structure || p.shape == array {
		box := reflect.New(v.Elem().Type())
		box.Elem().Set(v.Elem())
		v = box
	}
	e.value(p, v.UnsafePointer())
}

// Knows reports whether the codec was told of a concrete type, by its name as fmt prints it.
func (c *Codec[T]) Knows(name string) bool {
	return slices.ContainsFunc(c.behind, func(p *plan) bool { return p.typ.String() == name })
}
