package wire

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// A family is one of the tables of kinds, with what works on it, all by way of any.
type family struct {
	name   string
	kinds  map[uint8]func() any
	encode func(v any) ([]byte, error)
	decode func(b []byte) (any, error)
}

func makers[I any](t *[256]kind[I]) map[uint8]func() any {
	out := map[uint8]func() any{}
	for i := range t {
		if make := t[i].make; make != nil {
			out[uint8(i)] = func() any { return make() }
		}
	}
	return out
}

func families() []family {
	return []family{
		{"message", makers(&messages),
			func(v any) ([]byte, error) { return AppendMessage(nil, v.(message.Message)) },
			func(b []byte) (any, error) { return DecodeMessage(b) }},
		{"command", makers(&ops),
			func(v any) ([]byte, error) {
				return AppendEntry(nil, registry.Entry{Reign: 7, Commands: []registry.Command{{Key: registry.Key{1, 2}, Op: v.(registry.Op)}}})
			},
			func(b []byte) (any, error) {
				e, err := DecodeEntry(b)
				if err != nil {
					return nil, err
				}
				if e.Reign != 7 || len(e.Commands) != 1 || e.Commands[0].Key != (registry.Key{1, 2}) {
					return nil, fmt.Errorf("entry is %+v", e)
				}
				return e.Commands[0].Op, nil
			}},
		{"snapshot", makers(&records),
			func(v any) ([]byte, error) { return AppendSnapshotRecord(nil, v.(registry.Record)) },
			func(b []byte) (any, error) { return DecodeSnapshotRecord(b) }},
		{"journal", makers(&journal),
			func(v any) ([]byte, error) { return AppendRecord(nil, v.(slavecore.Record)) },
			func(b []byte) (any, error) { return DecodeRecord(b) }},
		{"event", makers(&events),
			func(v any) ([]byte, error) { return AppendEvent(nil, byValue(v.(mastercore.Event))) },
			func(b []byte) (any, error) {
				ev, err := DecodeEvent(b)
				if err != nil {
					return nil, err
				}
				return pointed(ev), nil
			}},
	}
}

var timeType = reflect.TypeFor[time.Time]()

// walk calls leaf for each leaf of v, with its path. Lists get as many elements as grow says, pointers are set if it is above zero.
func walk(v reflect.Value, path string, grow func(path string) int, leaf func(v reflect.Value, path string)) {
	switch {
	case v.Type() == timeType:
		leaf(v, path)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "Encoded" { // not a field of what is written
				continue
			}
			walk(v.Field(i), path+"."+v.Type().Field(i).Name, grow, leaf)
		}
	case v.Kind() == reflect.Pointer:
		if grow(path) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			walk(v.Elem(), path, grow, leaf)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		if n := grow(path); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), grow, leaf)
			}
		}
	case v.Kind() == reflect.Map:
		if n := grow(path); n > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for i := range n {
				value := reflect.New(v.Type().Elem()).Elem()
				walk(value, fmt.Sprintf("%s[%d]", path, i), grow, leaf)
				v.SetMapIndex(reflect.ValueOf(fmt.Sprintf("role%d", i)), value)
			}
		}
	case v.Kind() == reflect.Interface:
		m := &message.StatusUpdate{Status: &offer.Status{}}
		v.Set(reflect.ValueOf(m))
		walk(v.Elem().Elem(), path, grow, leaf)
		if m.Status == nil { // as the wire has it
			m.Status = &offer.Status{}
		}
	default:
		leaf(v, path)
	}
}

// setLeaf sets a leaf by a number.
func setLeaf(v reflect.Value, n uint64) {
	switch v.Kind() {
	case reflect.String:
		text := fmt.Sprintf("%016x", n)
		if n%29 == 0 {
			text = strings.Repeat(text, 20) // of another width
		} else {
			text = text[:n%17]
		}
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(n%2 == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n) >> (n % 61))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(n >> (n % 61) & (1<<v.Type().Bits() - 1))
	case reflect.Slice: // bytes
		if b := fmt.Appendf(nil, "%x", n); n%3 > 0 {
			v.SetBytes(bytes.Repeat(b, 1+int(n%7/6)*30))
		}
	case reflect.Array: // of bytes
		for i := range v.Len() {
			v.Index(i).SetUint(n >> (i * 4) & 0xff)
		}
	case reflect.Struct:
		if n%5 > 0 {
			v.Set(reflect.ValueOf(time.Unix(0, int64(n)).UTC()))
		}
	default:
		panic(v.Type().String() + " is not covered by the generator")
	}
}

// sample fills what p points to: every leaf by the hash of its path, so that a new field changes nothing but itself.
func sample(p any) any {
	walk(reflect.ValueOf(p).Elem(), "", func(string) int { return 1 }, func(v reflect.Value, path string) {
		h := fnv.New64a()
		_, _ = h.Write([]byte(path))
		setLeaf(v, h.Sum64()|1<<40)
		if v.Kind() == reflect.String {
			v.SetString(path)
		}
	})
	return p
}

// random fills what p points to at random.
func random(p any, r *rand.Rand) any {
	walk(reflect.ValueOf(p).Elem(), "", func(string) int { return r.IntN(3) }, func(v reflect.Value, _ string) {
		if r.IntN(4) > 0 {
			setLeaf(v, r.Uint64()>>r.IntN(64)|16)
		}
	})
	return p
}

func pointed(ev mastercore.Event) mastercore.Event {
	p, _ := byPointer(ev)
	return p
}
