package image

import (
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// shape is how a type is walked.
type shape uint8

const (
	raw       shape = iota // no pointers and no gaps: its bytes are its value
	text                   // string
	moment                 // time.Time
	structure              //
	array                  //
	slice                  //
	pointer                //
	mapping                //
	iface                  //
	nothing                // not kept, comes back as zero
)

// plan is what is known of one type.
type plan struct {
	typ    reflect.Type
	shape  shape
	size   uintptr
	bools  []uintptr // of raw: where one must be 0 or 1
	fields []field   // of structure; neighbours that are raw are one
	key    *plan     // of mapping
	elem   *plan     // of mapping, array, slice, pointer
	n      int       // of array
}

type field struct {
	at   uintptr
	plan *plan
}

// A Field names a field of a struct by the import path of its package and its name.
type Field struct{ Package, Name string }

// planner makes plans, one for each type.
type planner struct {
	plans map[reflect.Type]*plan
	skip  map[Field]bool
	order []*plan
}

func newPlanner(skip ...Field) *planner {
	p := &planner{plans: map[reflect.Type]*plan{}, skip: map[Field]bool{}}
	for _, f := range skip {
		p.skip[f] = true
	}
	return p
}

var timeType = reflect.TypeFor[time.Time]()

// of returns the plan of a type.
func (pl *planner) of(t reflect.Type) (*plan, error) {
	if p := pl.plans[t]; p != nil {
		return p, nil
	}
	p := &plan{typ: t, size: t.Size()}
	pl.plans[t] = p
	pl.order = append(pl.order, p)
	var err error
	switch t.Kind() {
	case reflect.Bool:
		p.bools = []uintptr{0}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32,
		reflect.Uint64, reflect.Float32, reflect.Float64:
	case reflect.String:
		p.shape = text
	case reflect.Struct:
		err = pl.structure(p)
	case reflect.Array:
		p.shape, p.n = array, t.Len()
		if p.elem, err = pl.of(t.Elem()); err == nil && p.elem.shape == raw {
			p.shape = raw
			for i := range p.n {
				for _, at := range p.elem.bools {
					p.bools = append(p.bools, uintptr(i)*p.elem.size+at)
				}
			}
		}
	case reflect.Slice:
		p.shape = slice
		p.elem, err = pl.of(t.Elem())
	case reflect.Pointer:
		p.shape = pointer
		p.elem, err = pl.of(t.Elem())
	case reflect.Map:
		p.shape = mapping
		if p.key, err = pl.of(t.Key()); err == nil {
			p.elem, err = pl.of(t.Elem())
		}
	case reflect.Interface:
		p.shape = iface
	default:
		err = fmt.Errorf("image: %s cannot be kept", t)
	}
	if err != nil {
		delete(pl.plans, t)
		return nil, err
	}
	return p, nil
}

// structure lists the fields, and joins neighbours that are raw and leave no gap between them.
func (pl *planner) structure(p *plan) error {
	if p.typ == timeType {
		p.shape = moment
		return nil
	}
	p.shape = structure // until it is known to be raw: a type that refers to itself has a pointer
	var run *plan
	for i := range p.typ.NumField() {
		f := p.typ.Field(i)
		if pl.skip[Field{f.PkgPath, f.Name}] {
			run = nil
			p.fields = append(p.fields, field{f.Offset, &plan{typ: f.Type, shape: nothing, size: f.Type.Size()}})
			continue
		}
		of, err := pl.of(f.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", p.typ, f.Name, err)
		}
		if of.shape != raw {
			run = nil
			p.fields = append(p.fields, field{f.Offset, of})
			continue
		}
		if of.size == 0 {
			continue
		}
		if run == nil || p.fields[len(p.fields)-1].at+run.size != f.Offset {
			run = &plan{shape: raw}
			p.fields = append(p.fields, field{f.Offset, run})
		}
		for _, at := range of.bools {
			run.bools = append(run.bools, run.size+at)
		}
		run.size += of.size
	}
	if len(p.fields) == 0 && p.size == 0 || run != nil && len(p.fields) == 1 && run.size == p.size {
		p.shape, p.fields = raw, nil
		if run != nil {
			p.bools = run.bools
		}
	}
	return nil
}

// describe names a type and what it is made of, without what it points to.
func (p *plan) describe() string {
	s := p.typ.PkgPath() + " " + p.typ.String() + " " + strconv.Itoa(int(p.shape)) + " " + strconv.Itoa(int(p.size))
	if p.typ.Kind() == reflect.Struct {
		for i := range p.typ.NumField() {
			f := p.typ.Field(i)
			s += "\n" + f.Name + " " + f.Type.PkgPath() + " " + f.Type.String() + " " + strconv.Itoa(int(f.Offset))
		}
	}
	return s
}
