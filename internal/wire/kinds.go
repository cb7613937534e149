package wire

import (
	"fmt"
	"unsafe"
)

// A kind is how one concrete type behind an interface I is made and coded.
type kind[I any] struct {
	make func() I
	code func(*codec, I)
	size int
}

// of makes the kind of *T, whose fields code lists.
func of[I, T any](code func(*codec, *T)) kind[I] {
	return ofMade[I](func() *T { return new(T) }, code)
}

// ofMade is of for what made makes: a zero value, perhaps with room for what its pointers will point to, in one allocation.
func ofMade[I, T any](made func() *T, code func(*codec, *T)) kind[I] {
	return kind[I]{
		make: func() I { return any(made()).(I) },
		code: func(c *codec, v I) {
			p, ok := any(v).(*T)
			if !ok || p == nil {
				c.fail(fmt.Errorf("wire: %T is not a %T that can be written", v, p))
				return
			}
			code(c, p)
		},
		size: int(unsafe.Sizeof(*new(T))),
	}
}

func none[T any](c *codec, _ *T) { c.shut(c.open(0)) }

// variant writes or reads [kind, fields].
func variant[I any](c *codec, what string, table *[256]kind[I], numberOf func(I) uint8, v *I) {
	o := c.open(2)
	var k uint8
	if c.enc {
		if any(*v) == nil {
			c.fail(fmt.Errorf("wire: no %s to write", what))
			return
		}
		k = numberOf(*v)
	}
	number(c, &k)
	entry := &table[k]
	switch {
	case c.err != nil:
		return
	case entry.make == nil && !c.enc:
		c.fail(unsupported("%s kind %d is not known to this version", what, k))
		return
	case entry.make == nil:
		c.fail(fmt.Errorf("wire: %T (kind %d) has no encoding", *v, k))
		return
	case !c.enc:
		if !c.take(entry.size) {
			return
		}
		*v = entry.make()
	}
	entry.code(c, *v)
	c.shut(o)
}
