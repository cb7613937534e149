package wire

import (
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/meros-project/meros/offer"
)

// Limits bound what Scan lets through.
type Limits struct {
	Depth    int // of nested arrays and maps. Defaults to 32, which is also the most
	Elements int // values in all, keys included. Defaults to 1048576
}

const (
	maxDepth    = 32
	maxElements = 1 << 20
)

// The codes of msgpack that Scan compares with, as constants, because the library keeps its own in variables; a test holds the two against
// each other.
const (
	codePosFixedNumHigh = 0x7f
	codeFixedMapHigh    = 0x8f
	codeFixedMapMask    = 0xf
	codeFixedArrayLow   = 0x90
	codeFixedArrayHigh  = 0x9f
	codeFixedArrayMask  = 0xf
	codeFixedStrLow     = 0xa0
	codeFixedStrHigh    = 0xbf
	codeFixedStrMask    = 0x1f
	codeNil             = 0xc0
	codeNegFixedNumLow  = 0xe0
)

func malformed(format string, args ...any) *offer.Refusal {
	return offer.Refuse(offer.ReasonMalformed, fmt.Sprintf("wire: "+format, args...))
}

func tooLarge(format string, args ...any) *offer.Refusal {
	return offer.Refuse(offer.ReasonTooLarge, fmt.Sprintf("wire: "+format, args...))
}

func unsupported(format string, args ...any) *offer.Refusal {
	return offer.Refuse(offer.ReasonUnsupported, fmt.Sprintf("wire: "+format, args...))
}

// Scan checks that b is exactly one msgpack value that is safe to decode: every length that it declares fits the bytes that are left,
// and nesting and number of elements are within the limits. It neither recurses nor allocates, unless it fails.
func Scan(b []byte, l Limits) error {
	if l.Depth <= 0 || l.Depth > maxDepth {
		l.Depth = maxDepth
	}
	if l.Elements <= 0 {
		l.Elements = maxElements
	}
	var open [maxDepth]int // how many values each open container still wants
	depth, elements := 0, 0
	for p := 0; ; {
		if elements++; elements > l.Elements {
			return tooLarge("more than %d elements", l.Elements)
		}
		size, items := 0, 0
		switch { // the common cases first
		case p < len(b) && b[p] <= codePosFixedNumHigh:
			size = 1
		case p < len(b) && b[p]&^codeFixedStrMask == codeFixedStrLow && int(b[p]&codeFixedStrMask) < len(b)-p:
			size = 1 + int(b[p]&codeFixedStrMask)
		case p < len(b) && b[p]&^codeFixedArrayMask == codeFixedArrayLow:
			size, items = 1, int(b[p]&codeFixedArrayMask)
		case p < len(b) && b[p] == codeNil:
			size = 1
		default:
			var err error
			if size, items, err = head(b, p); err != nil {
				return err
			}
		}
		p += size
		if items > 0 {
			if items > len(b)-p {
				return malformed("byte %d: %d elements declared, %d bytes left", p, items, len(b)-p)
			}
			if depth == l.Depth {
				return tooLarge("byte %d: nested deeper than %d", p, l.Depth)
			}
			open[depth] = items
			depth++
			continue
		}
		for depth > 0 {
			if open[depth-1]--; open[depth-1] > 0 {
				break
			}
			depth--
		}
		if depth == 0 {
			if p != len(b) {
				return malformed("byte %d: %d bytes after the end", p, len(b)-p)
			}
			return nil
		}
	}
}

// head reads the value that begins at b[p]: how many bytes it has, without the elements that follow it when it is an array or a map, and
// how many of these there are.
func head(b []byte, p int) (size, items int, err error) {
	if p >= len(b) {
		return 0, 0, malformed("byte %d: the end came too early", p)
	}
	code := b[p]
	prefix, body := 1, 0
	switch {
	case code <= codePosFixedNumHigh || code >= codeNegFixedNumLow:
	case code <= codeFixedMapHigh:
		items = 2 * int(code&codeFixedMapMask)
	case code <= codeFixedArrayHigh:
		items = int(code & codeFixedArrayMask)
	case code <= codeFixedStrHigh:
		body = int(code & codeFixedStrMask)
	default:
		s := shapes[code-codeNil]
		if s.kind == 0 {
			return 0, 0, malformed("byte %d: code %#x is not msgpack", p, code)
		}
		prefix += int(s.prefix)
		if len(b)-p < prefix {
			return 0, 0, malformed("byte %d: the end came too early", p)
		}
		n := 0
		for _, x := range b[p+1 : p+prefix] {
			n = n<<8 | int(x)
		}
		switch s.kind {
		case 'b':
			body = int(s.extra) + n
		case 'a':
			items = n
		case 'm':
			items = 2 * n
		}
	}
	if body > len(b)-p-prefix {
		return 0, 0, malformed("byte %d: %d bytes declared, %d left", p, body, len(b)-p-prefix)
	}
	return prefix + body, items, nil
}

// A shape says how a code from 0xc0 to 0xdf goes on: a length of prefix bytes, then a body of that many bytes and extra ones ('b'), or that
// many elements of an array ('a') or map ('m').
type shape struct {
	kind          byte
	prefix, extra uint8
}

var shapes = shapeOf(map[byte]shape{
	msgpcode.Nil:      {'b', 0, 0},
	msgpcode.False:    {'b', 0, 0},
	msgpcode.True:     {'b', 0, 0},
	msgpcode.Bin8:     {'b', 1, 0},
	msgpcode.Bin16:    {'b', 2, 0},
	msgpcode.Bin32:    {'b', 4, 0},
	msgpcode.Ext8:     {'b', 1, 1},
	msgpcode.Ext16:    {'b', 2, 1},
	msgpcode.Ext32:    {'b', 4, 1},
	msgpcode.Float:    {'b', 0, 4},
	msgpcode.Double:   {'b', 0, 8},
	msgpcode.Uint8:    {'b', 0, 1},
	msgpcode.Uint16:   {'b', 0, 2},
	msgpcode.Uint32:   {'b', 0, 4},
	msgpcode.Uint64:   {'b', 0, 8},
	msgpcode.Int8:     {'b', 0, 1},
	msgpcode.Int16:    {'b', 0, 2},
	msgpcode.Int32:    {'b', 0, 4},
	msgpcode.Int64:    {'b', 0, 8},
	msgpcode.FixExt1:  {'b', 0, 2},
	msgpcode.FixExt2:  {'b', 0, 3},
	msgpcode.FixExt4:  {'b', 0, 5},
	msgpcode.FixExt8:  {'b', 0, 9},
	msgpcode.FixExt16: {'b', 0, 17},
	msgpcode.Str8:     {'b', 1, 0},
	msgpcode.Str16:    {'b', 2, 0},
	msgpcode.Str32:    {'b', 4, 0},
	msgpcode.Array16:  {'a', 2, 0},
	msgpcode.Array32:  {'a', 4, 0},
	msgpcode.Map16:    {'m', 2, 0},
	msgpcode.Map32:    {'m', 4, 0},
})

func shapeOf(codes map[byte]shape) (t [codeNegFixedNumLow - codeNil]shape) {
	for code, s := range codes {
		t[code-msgpcode.Nil] = s
	}
	return t
}
