package image

import (
	"encoding/binary"
	"math/bits"
	"reflect"
	"time"
	"unsafe"
)

// A Hasher folds values into 64 bits: equal values, also in another process, give equal sums. Nil and empty slices, maps and strings are the
// same; times are told apart by their instants. It keeps what it learns of types, and is not safe for concurrent use.
type Hasher struct {
	plans *planner
	sum   uint64
	left  int
}

// NewHasher returns a Hasher whose sum is zero.
func NewHasher() *Hasher { return &Hasher{plans: newPlanner()} }

// Sum is the sum of all that was added, in order.
func (h *Hasher) Sum() uint64 { return h.sum }

// Reset begins again.
func (h *Hasher) Reset() { h.sum = 0 }

// maxHashed bounds the pointers that are followed for one value, for the case that it has a cycle.
const maxHashed = 1 << 24

// Add folds in what v points to. A type with functions or channels panics: it has no content to compare.
func Add[T any](h *Hasher, v *T) {
	p, err := h.plans.of(reflect.TypeFor[T]())
	if err != nil {
		panic(err)
	}
	h.left = maxHashed
	h.value(p, unsafe.Pointer(v))
}

const (
	hashA = 0x9e3779b97f4a7c15
	hashB = 0xd6e8feb86659fd93
)

// Word folds in a number.
func (h *Hasher) Word(w uint64) { h.word(w) }

// Text folds in a string.
func (h *Hasher) Text(s string) {
	h.word(uint64(len(s)))
	h.bytes(unsafe.Slice(unsafe.StringData(s), len(s)))
}

func (h *Hasher) word(w uint64) {
	hi, lo := bits.Mul64(h.sum^w^hashA, hashB)
	h.sum = hi ^ lo ^ bits.RotateLeft64(w, 29)
}

func (h *Hasher) bytes(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		h.word(binary.LittleEndian.Uint64(b))
	}
	switch n := len(b); {
	case n >= 4:
		h.word(uint64(n)<<60 | uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<28)
	case n > 0:
		h.word(uint64(n)<<60 | uint64(b[0]) | uint64(b[n/2])<<8 | uint64(b[n-1])<<16)
	}
}

func (h *Hasher) value(p *plan, at unsafe.Pointer) {
	switch p.shape {
	case raw:
		h.bytes(unsafe.Slice((*byte)(at), p.size))
	case text:
		h.Text(*(*string)(at))
	case moment:
		t := *(*time.Time)(at)
		h.word(uint64(t.Unix()))
		h.word(uint64(t.Nanosecond()))
	case structure:
		for i := range p.fields {
			h.value(p.fields[i].plan, unsafe.Add(at, p.fields[i].at))
		}
	case array:
		for i := range p.n {
			h.value(p.elem, unsafe.Add(at, uintptr(i)*p.elem.size))
		}
	case slice:
		s := (*header)(at)
		h.word(uint64(s.len))
		if p.elem.shape == raw {
			h.bytes(unsafe.Slice((*byte)(s.data), uintptr(s.len)*p.elem.size))
			return
		}
		for i := range s.len {
			h.value(p.elem, unsafe.Add(s.data, uintptr(i)*p.elem.size))
		}
	case pointer:
		h.follow(p, *(*unsafe.Pointer)(at))
	case mapping:
		h.mapped(p, at)
	case iface:
		h.iface(p, at)
	case nothing:
	}
}

func (h *Hasher) follow(p *plan, to unsafe.Pointer) {
	if h.left--; to == nil || h.left < 0 {
		h.word(0)
		return
	}
	h.word(1)
	h.value(p.elem, to)
}

// mapped adds the sums of the entries up, so that their order does not matter.
func (h *Hasher) mapped(p *plan, at unsafe.Pointer) {
	m := reflect.NewAt(p.typ, at).Elem()
	outer, all := h.sum, uint64(0)
	for it := m.MapRange(); it.Next(); {
		k, v := reflect.New(p.typ.Key()), reflect.New(p.typ.Elem())
		k.Elem().SetIterKey(it)
		v.Elem().SetIterValue(it)
		h.sum = 0
		h.value(p.key, k.UnsafePointer())
		h.value(p.elem, v.UnsafePointer())
		all += h.sum
	}
	h.sum = outer
	h.word(uint64(m.Len()))
	h.word(all)
}

func (h *Hasher) iface(p *plan, at unsafe.Pointer) {
	v := reflect.NewAt(p.typ, at).Elem()
	if v.IsNil() {
		h.word(0)
		return
	}
	v = v.Elem()
	of, err := h.plans.of(v.Type())
	if err != nil {
		panic(err)
	}
	h.Text(v.Type().String())
	if of.shape == pointer {
		h.follow(of, v.UnsafePointer())
		return
	}
	box := reflect.New(v.Type())
	box.Elem().Set(v)
	h.value(of, box.UnsafePointer())
}
