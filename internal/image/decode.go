package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unsafe"
)

// Decoding allocates at most amplification bytes for each byte of input, and spare.
const (
	amplification = 40
	spare         = 1 << 20
)

type decoder struct {
	b      []byte
	text   string // the same as the input, for strings to share
	budget int
	behind []*plan
	known  []object // by number; n is -1 for what a pointer refers to
	queue  []object
	err    error
}

// Decode returns the value whose image b is. Strings in it share one copy of b.
func (c *Codec[T]) Decode(b []byte) (*T, error) {
	root := new(T)
	d := &decoder{b: b, text: string(b), budget: len(b)*amplification + spare, behind: c.behind}
	d.known = append(d.known, object{unsafe.Pointer(root), c.root, -1})
	d.queue = append(d.queue, object{unsafe.Pointer(root), c.root, 1})
	for i := 0; i < len(d.queue) && d.err == nil; i++ {
		d.content(d.queue[i])
		d.queue[i].p = nil
	}
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes after the end", len(d.b))
	}
	if d.err != nil {
		return nil, d.err
	}
	return root, nil
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("image: byte %d: "+format, append([]any{len(d.text) - len(d.b)}, args...)...)
	}
	d.b = nil
}

// ErrTooLarge is returned when an image would take much more memory than its size allows for.
var ErrTooLarge = errors.New("image: declares more memory than its size allows for")

// charge takes n times size bytes off the budget.
func (d *decoder) charge(n int, size uintptr) bool {
	if n < 0 || n > d.budget || uint64(n)*uint64(size) > uint64(d.budget) {
		if d.err == nil {
			d.err = ErrTooLarge
		}
		d.b = nil
		return false
	}
	d.budget -= n * int(size)
	return true
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail("a number is cut short")
		return 0
	}
	d.b = d.b[size:]
	return n
}

// length reads how many values follow, each of which takes at least one byte if least is 1.
func (d *decoder) length(least int) int {
	n := d.number()
	if least > 0 && n > uint64(len(d.b)/least) || n > uint64(d.budget) {
		d.fail("%d values are declared, %d bytes left", n, len(d.b))
		return 0
	}
	return int(n)
}

func (d *decoder) content(o object) {
	if o.plan.shape == mapping {
		d.mapped(o)
		return
	}
	if o.plan.shape == raw {
		d.raw(o)
		return
	}
	for i := 0; i < o.n && d.err == nil; i++ {
		d.value(o.plan, unsafe.Add(o.p, uintptr(i)*o.plan.size))
	}
}

func (d *decoder) raw(o object) {
	size := uintptr(o.n) * o.plan.size
	if size > uintptr(len(d.b)) {
		d.fail("%d bytes are missing", size-uintptr(len(d.b)))
		return
	}
	if len(o.plan.bools) > 0 {
		for i := range o.n {
			for _, at := range o.plan.bools {
				if x := d.b[uintptr(i)*o.plan.size+at]; x > 1 {
					d.fail("%d is no boolean", x)
					return
				}
			}
		}
	}
	if size > 0 {
		copy(unsafe.Slice((*byte)(o.p), size), d.b)
		d.b = d.b[size:]
	}
}

func (d *decoder) value(p *plan, at unsafe.Pointer) {
	if d.err != nil {
		return
	}
	switch p.shape {
	case raw:
		d.raw(object{at, p, 1})
	case text:
		n := d.length(1)
		if d.err == nil {
			from := len(d.text) - len(d.b)
			*(*string)(at) = d.text[from : from+n]
			d.b = d.b[n:]
		}
	case moment:
		d.moment((*time.Time)(at))
	case structure:
		for i := range p.fields {
			d.value(p.fields[i].plan, unsafe.Add(at, p.fields[i].at))
		}
	case array:
		for i := range p.n {
			d.value(p.elem, unsafe.Add(at, uintptr(i)*p.elem.size))
		}
	case slice:
		d.slice(p, (*header)(at))
	case pointer:
		*(*unsafe.Pointer)(at) = d.pointer(p)
	case mapping:
		d.mapRef(p, at)
	case iface:
		d.iface(p, at)
	case nothing:
	}
}

// resolve reads a reference. It returns the object it names, or false if that is to be made now.
func (d *decoder) resolve(p *plan, one bool) (o object, ref uint64, known bool) {
	ref = d.number()
	if d.err != nil || ref < refFirst {
		return object{}, ref, true
	}
	n := ref - refFirst
	switch {
	case n > uint64(len(d.known)):
		d.fail("reference to object %d, of which there are %d", n, len(d.known))
		return object{}, refNil, true
	case n == uint64(len(d.known)):
		return object{}, ref, false
	}
	o = d.known[n]
	if o.plan != p || one != (o.n < 0) {
		d.fail("object %d is a %v and referred to as a %v", n, o.plan.typ, p.typ)
		return object{}, refNil, true
	}
	return o, ref, true
}

func (d *decoder) slice(p *plan, h *header) {
	o, ref, known := d.resolve(p, false)
	switch {
	case d.err != nil || ref == refNil:
	case ref == refEmpty:
		*h = header{data: reflect.MakeSlice(p.typ, 0, 0).UnsafePointer()}
	case known:
		*h = header{o.p, o.n, o.n}
	default:
		n := d.number()
		if d.err != nil || n == 0 || n > uint64(d.budget) || !d.charge(int(n), max(p.elem.size, 1)) {
			d.fail("a slice of %d values", n)
			return
		}
		data := reflect.MakeSlice(p.typ, int(n), int(n)).UnsafePointer()
		*h = header{data, int(n), int(n)}
		d.known = append(d.known, object{data, p, int(n)})
		d.queue = append(d.queue, object{data, p.elem, int(n)})
	}
}

func (d *decoder) pointer(p *plan) unsafe.Pointer {
	o, ref, known := d.resolve(p.elem, true)
	if d.err != nil || ref == refNil {
		return nil
	}
	if known {
		if ref == refEmpty {
			d.fail("an empty pointer")
		}
		return o.p
	}
	if !d.charge(1, p.elem.size+8) {
		return nil
	}
	to := reflect.New(p.elem.typ).UnsafePointer()
	d.known = append(d.known, object{to, p.elem, -1})
	d.queue = append(d.queue, object{to, p.elem, 1})
	return to
}

// mapRef makes a map at once and fills it in its turn.
func (d *decoder) mapRef(p *plan, at unsafe.Pointer) {
	o, ref, known := d.resolve(p, true)
	if d.err != nil || ref == refNil {
		return
	}
	if known {
		if ref == refEmpty {
			d.fail("an empty map")
			return
		}
		reflect.NewAt(p.typ, at).Elem().Set(reflect.NewAt(p.typ, o.p).Elem())
		return
	}
	if !d.charge(1, 64) {
		return
	}
	box := reflect.New(p.typ) // holds the map for those that refer to it later
	box.Elem().Set(reflect.MakeMap(p.typ))
	reflect.NewAt(p.typ, at).Elem().Set(box.Elem())
	d.known = append(d.known, object{box.UnsafePointer(), p, -1})
	d.queue = append(d.queue, object{box.UnsafePointer(), p, 1})
}

func (d *decoder) mapped(o object) {
	n := d.length(1)
	m := reflect.NewAt(o.plan.typ, o.p).Elem()
	if !d.charge(n, o.plan.key.size+o.plan.elem.size+16) {
		return
	}
	if m.IsNil() { // what a pointer to a map refers to
		m.Set(reflect.MakeMap(o.plan.typ))
	}
	for i := 0; i < n && d.err == nil; i++ {
		k, v := reflect.New(o.plan.typ.Key()), reflect.New(o.plan.typ.Elem())
		d.value(o.plan.key, k.UnsafePointer())
		d.value(o.plan.elem, v.UnsafePointer())
		if d.err == nil {
			m.SetMapIndex(k.Elem(), v.Elem())
		}
	}
	if d.err == nil && m.Len() != n {
		d.fail("a map has a key twice")
	}
}

func (d *decoder) iface(p *plan, at unsafe.Pointer) {
	n := d.number()
	if d.err != nil || n == 0 {
		return
	}
	if n > uint64(len(d.behind)) {
		d.fail("type %d, of which there are %d", n, len(d.behind))
		return
	}
	of := d.behind[n-1]
	if !of.typ.Implements(p.typ) {
		d.fail("%v is no %v", of.typ, p.typ)
		return
	}
	if of.shape == pointer {
		if to := d.pointer(of); to != nil {
			reflect.NewAt(p.typ, at).Elem().Set(reflect.NewAt(of.typ.Elem(), to).Convert(of.typ))
		} else {
			reflect.NewAt(p.typ, at).Elem().Set(reflect.Zero(of.typ))
		}
		return
	}
	if !d.charge(1, of.size) {
		return
	}
	box := reflect.New(of.typ)
	d.value(of, box.UnsafePointer())
	reflect.NewAt(p.typ, at).Elem().Set(box.Elem())
}

// appendTime writes 0 for the zero time, or 1, the seconds since 1970 and the nanoseconds.
func appendTime(b []byte, at unsafe.Pointer) []byte {
	t := *(*time.Time)(at)
	if t.IsZero() {
		return append(b, 0)
	}
	b = binary.LittleEndian.AppendUint64(append(b, 1), uint64(t.Unix()))
	return binary.LittleEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

func (d *decoder) moment(t *time.Time) {
	switch {
	case len(d.b) > 0 && d.b[0] == 0:
		d.b = d.b[1:]
	case len(d.b) >= 13 && d.b[0] == 1:
		nanos := binary.LittleEndian.Uint32(d.b[9:])
		if nanos >= 1e9 {
			d.fail("%d nanoseconds in a second", nanos)
			return
		}
		*t = time.Unix(int64(binary.LittleEndian.Uint64(d.b[1:])), int64(nanos)).UTC()
		d.b = d.b[13:]
	default:
		d.fail("no time")
	}
}
