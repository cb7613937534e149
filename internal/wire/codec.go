package wire

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/meros-project/meros/offer"
)

// A codec writes or reads, depending on enc. Each struct has one function that lists its fields in order and serves for both, so that the
// two cannot differ.
type codec struct {
	enc bool
	b   []byte // written so far, or the input

	// Of the reader.
	p      int    // where it stands in b
	left   int    // values left in the array at hand
	budget int    // bytes that may still be allocated
	err    error  // the first
	text   string // a copy of b[textAt : textAt+len(text)], which strings are cut from
	textAt int
}

const (
	// textWindow is how much input is turned into one string at a time. A string that is kept keeps at most this much more.
	textWindow = 512
	// Reading allocates at most amplification bytes for each byte of input, and spare. The zero values of our types need 24.
	amplification = 32
	spare         = 4096
)

var codecs = sync.Pool{New: func() any { return new(codec) }}

// write appends what f lists to dst.
func write(dst []byte, f func(*codec)) ([]byte, error) {
	c := codecs.Get().(*codec)
	*c = codec{enc: true, b: dst}
	f(c)
	out, err := c.b, c.err
	*c = codec{}
	codecs.Put(c)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// read scans b and reads one value from it as f lists it.
func read(b []byte, l Limits, f func(*codec)) error {
	if err := Scan(b, l); err != nil {
		return err
	}
	c := codecs.Get().(*codec)
	*c = codec{b: b, left: 1, budget: len(b)*amplification + spare}
	f(c)
	err := c.err
	*c = codec{}
	codecs.Put(c)
	return err
}

func (c *codec) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.p, c.left = len(c.b), 0
}

// more takes one value off the array at hand; false when there is none left, and the field stays zero.
func (c *codec) more() bool {
	if c.left <= 0 {
		return false
	}
	c.left--
	return true
}

// take charges n bytes of memory.
func (c *codec) take(n int) bool {
	if c.budget -= n; c.budget < 0 {
		c.fail(tooLarge("%d bytes of input decode to more than %d bytes", len(c.b), len(c.b)*amplification+spare))
		return false
	}
	return true
}

// next returns the n bytes that follow the code at c.p, and steps over both.
func (c *codec) next(n int) []byte {
	if len(c.b)-c.p-1 < n {
		c.fail(malformed("byte %d: the end came too early", c.p))
		return nil
	}
	b := c.b[c.p+1 : c.p+1+n]
	c.p += 1 + n
	return b
}

func (c *codec) code() byte {
	if c.p >= len(c.b) {
		c.fail(malformed("byte %d: the end came too early", c.p))
		return codeNil
	}
	return c.b[c.p]
}

// null steps over a nil, if there is one.
func (c *codec) null() bool {
	if c.code() != codeNil {
		return false
	}
	c.p++
	return true
}

// open begins a struct of n fields, which shut ends with what open returned.
func (c *codec) open(n int) int {
	if c.enc {
		c.appendArray(n)
		return 0
	}
	if !c.more() || c.null() {
		outer := c.left
		c.left = 0
		return outer
	}
	outer := c.left
	c.left = c.array()
	return outer
}

func (c *codec) shut(outer int) {
	if c.enc {
		return
	}
	for pending := c.left; pending > 0; pending-- { // fields of a newer writer
		size, items, err := head(c.b, c.p)
		if err != nil {
			c.fail(err)
			return
		}
		c.p += size
		pending += items
	}
	if c.err == nil {
		c.left = outer
	}
}

// array reads the head of an array: how many elements follow.
func (c *codec) array() int {
	n := 0
	switch code := c.code(); {
	case code >= codeFixedArrayLow && code <= codeFixedArrayHigh:
		n = int(code & codeFixedArrayMask)
		c.p++
	case code == codeArray16:
		if b := c.next(2); b != nil {
			n = int(binary.BigEndian.Uint16(b))
		}
	case code == codeArray32:
		if b := c.next(4); b != nil {
			n = int(binary.BigEndian.Uint32(b))
		}
	default:
		c.fail(malformed("byte %d: code %#x where an array belongs", c.p, code))
	}
	if n > len(c.b)-c.p {
		c.fail(malformed("byte %d: %d elements declared, %d bytes left", c.p, n, len(c.b)-c.p))
		return 0
	}
	return n
}

func (c *codec) appendArray(n int) {
	switch {
	case n < 16:
		c.b = append(c.b, codeFixedArrayLow|byte(n))
	case n <= math.MaxUint16:
		c.b = append(c.b, codeArray16, byte(n>>8), byte(n))
	default:
		c.b = binary.BigEndian.AppendUint32(append(c.b, codeArray32), uint32(n))
	}
}

func (c *codec) appendUint(v uint64) {
	switch {
	case v <= math.MaxInt8:
		c.b = append(c.b, byte(v))
	case v <= math.MaxUint8:
		c.b = append(c.b, codeUint8, byte(v))
	case v <= math.MaxUint16:
		c.b = append(c.b, codeUint16, byte(v>>8), byte(v))
	case v <= math.MaxUint32:
		c.b = binary.BigEndian.AppendUint32(append(c.b, codeUint32), uint32(v))
	default:
		c.b = binary.BigEndian.AppendUint64(append(c.b, codeUint64), v)
	}
}

func (c *codec) appendInt(v int64) {
	switch {
	case v >= 0:
		c.appendUint(uint64(v))
	case v >= -32:
		c.b = append(c.b, byte(v))
	case v >= math.MinInt8:
		c.b = append(c.b, codeInt8, byte(v))
	case v >= math.MinInt16:
		c.b = append(c.b, codeInt16, byte(v>>8), byte(v))
	case v >= math.MinInt32:
		c.b = binary.BigEndian.AppendUint32(append(c.b, codeInt32), uint32(v))
	default:
		c.b = binary.BigEndian.AppendUint64(append(c.b, codeInt64), uint64(v))
	}
}

// integer reads a number of any width: its bits, and whether it is below zero.
func (c *codec) integer() (v uint64, negative bool) {
	code := c.code()
	if code <= codePosFixedNumHigh {
		c.p++
		return uint64(code), false
	}
	if code >= codeNegFixedNumLow {
		c.p++
		return uint64(int8(code)), true
	}
	at := c.p
	switch code {
	case codeNil:
		c.p++
	case codeUint8, codeUint16, codeUint32, codeUint64:
		for _, x := range c.next(1 << (code - codeUint8)) {
			v = v<<8 | uint64(x)
		}
	case codeInt8, codeInt16, codeInt32, codeInt64:
		width := 1 << (code - codeInt8)
		for _, x := range c.next(width) {
			v = v<<8 | uint64(x)
		}
		unused := 64 - 8*width
		v = uint64(int64(v<<unused) >> unused)
		negative = int64(v) < 0
	default:
		c.fail(malformed("byte %d: code %#x where a number belongs", at, code))
	}
	return v, negative
}

func signed[T ~int | ~int64](c *codec, v *T) {
	if c.enc {
		c.appendInt(int64(*v))
		return
	}
	if !c.more() {
		return
	}
	at := c.p
	u, negative := c.integer()
	if !negative && u > math.MaxInt64 || int64(T(u)) != int64(u) {
		c.fail(malformed("byte %d: number %d is too large for its field", at, u))
		return
	}
	*v = T(u)
}

func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64](c *codec, v *T) {
	if c.enc {
		c.appendUint(uint64(*v))
		return
	}
	if !c.more() {
		return
	}
	at := c.p
	u, negative := c.integer()
	if negative || uint64(T(u)) != u {
		c.fail(malformed("byte %d: number %d does not fit its field", at, int64(u)))
		return
	}
	*v = T(u)
}

func (c *codec) flag(v *bool) {
	if c.enc {
		if *v {
			c.b = append(c.b, codeTrue)
		} else {
			c.b = append(c.b, codeFalse)
		}
		return
	}
	if !c.more() {
		return
	}
	switch code := c.code(); code {
	case codeTrue:
		*v = true
	case codeFalse, codeNil:
	default:
		c.fail(malformed("byte %d: code %#x where true or false belongs", c.p, code))
		return
	}
	c.p++
}

func text[T ~string](c *codec, v *T) {
	if c.enc {
		c.appendText(string(*v))
		return
	}
	if !c.more() {
		return
	}
	if c.p < len(c.b) && c.b[c.p]&^codeFixedStrMask == codeFixedStrLow { // the common case: short, and in the window
		n, from := int(c.b[c.p]&codeFixedStrMask), c.p+1-c.textAt
		if from+n <= len(c.text) {
			c.p += 1 + n
			*v = T(c.text[from : from+n])
			return
		}
	}
	*v = T(c.readText())
}

func (c *codec) appendText(s string) {
	switch n := len(s); {
	case n < 32:
		c.b = append(c.b, codeFixedStrLow|byte(n))
	case n <= math.MaxUint8:
		c.b = append(c.b, codeStr8, byte(n))
	case n <= math.MaxUint16:
		c.b = append(c.b, codeStr16, byte(n>>8), byte(n))
	default:
		c.b = binary.BigEndian.AppendUint32(append(c.b, codeStr32), uint32(n))
	}
	c.b = append(c.b, s...)
}

func (c *codec) readText() string {
	n, code := 0, c.code()
	switch {
	case code >= codeFixedStrLow && code <= codeFixedStrHigh:
		n = int(code & codeFixedStrMask)
		c.p++
	case code == codeStr8, code == codeStr16, code == codeStr32:
		for _, x := range c.next(1 << (code - codeStr8)) {
			n = n<<8 | int(x)
		}
	case code == codeNil:
		c.p++
	default:
		c.fail(malformed("byte %d: code %#x where a string belongs", c.p, code))
	}
	if n == 0 {
		return ""
	}
	if n > len(c.b)-c.p {
		c.fail(malformed("byte %d: %d bytes declared, %d left", c.p, n, len(c.b)-c.p))
		return ""
	}
	from := c.p - c.textAt
	c.p += n
	if from+n <= len(c.text) {
		return c.text[from : from+n]
	}
	at := c.p - n
	size := min(max(n, textWindow), len(c.b)-at)
	if n >= textWindow/2 { // a long one stands alone
		size = n
	}
	if !c.take(size) {
		return ""
	}
	s := string(c.b[at : at+size])
	if size > n {
		c.text, c.textAt = s, at
	}
	return s[:n]
}

func (c *codec) blob(v *[]byte) {
	if c.enc {
		n := len(*v)
		switch {
		case n == 0:
			c.b = append(c.b, codeNil)
			return
		case n <= math.MaxUint8:
			c.b = append(c.b, codeBin8, byte(n))
		case n <= math.MaxUint16:
			c.b = append(c.b, codeBin16, byte(n>>8), byte(n))
		default:
			c.b = binary.BigEndian.AppendUint32(append(c.b, codeBin32), uint32(n))
		}
		c.b = append(c.b, *v...)
	} else if c.more() {
		if b := c.readBlob(); len(b) > 0 && c.take(len(b)) {
			*v = slices.Clone(b)
		}
	}
}

// readBlob returns the bytes inside the input.
func (c *codec) readBlob() []byte {
	n, code := 0, c.code()
	switch code {
	case codeBin8, codeBin16, codeBin32:
		for _, x := range c.next(1 << (code - codeBin8)) {
			n = n<<8 | int(x)
		}
	case codeNil:
		c.p++
	default:
		c.fail(malformed("byte %d: code %#x where bytes belong", c.p, code))
	}
	if n > len(c.b)-c.p {
		c.fail(malformed("byte %d: %d bytes declared, %d left", c.p, n, len(c.b)-c.p))
		return nil
	}
	c.p += n
	return c.b[c.p-n : c.p]
}

// bytes16 is a UUID or a Key: sixteen bytes, nil for zero.
func bytes16[T ~[16]byte](c *codec, v *T) {
	if c.enc {
		if *v == (T{}) {
			c.b = append(c.b, codeNil)
			return
		}
		a := [16]byte(*v)
		c.b = append(append(c.b, codeBin8, 16), a[:]...)
	} else if c.more() {
		at := c.p
		switch b := c.readBlob(); len(b) {
		case 0:
		case 16:
			*v = T(b)
		default:
			c.fail(malformed("byte %d: %d bytes where 16 belong", at, len(b)))
		}
	}
}

func (c *codec) uuid(v *offer.UUID) { bytes16(c, v) }

var minTime, maxTime = time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)

// moment is a time in nanoseconds since 1970, nil for the zero time. What int64 cannot hold becomes the nearest that it can.
func (c *codec) moment(v *time.Time) {
	if c.enc {
		switch {
		case v.IsZero():
			c.b = append(c.b, codeNil)
		case v.Before(minTime):
			c.appendInt(math.MinInt64)
		case v.After(maxTime):
			c.appendInt(math.MaxInt64)
		default:
			c.appendInt(v.UnixNano())
		}
		return
	}
	if c.left <= 0 {
		return
	}
	if c.null() {
		c.left--
		return
	}
	var n int64
	signed(c, &n)
	if c.err == nil {
		*v = time.Unix(0, n).UTC()
	}
}

// list is an array whose elements f lists. None and nil are the same.
func list[S ~[]T, T any](c *codec, v *S, f func(*codec, *T)) {
	if c.enc {
		c.appendArray(len(*v))
		for i := range *v {
			f(c, &(*v)[i])
		}
		return
	}
	if !c.more() || c.null() {
		return
	}
	n := c.array()
	if n == 0 || !c.take(n*int(unsafe.Sizeof(*new(T)))) {
		return
	}
	outer := c.left
	c.left = n
	s := make(S, n)
	for i := range s {
		f(c, &s[i])
	}
	if c.err == nil {
		c.left = outer
		*v = s
	}
}

// optional is nil or what f lists.
func optional[T any](c *codec, v **T, f func(*codec, *T)) {
	if c.enc {
		if *v == nil {
			c.b = append(c.b, codeNil)
		} else {
			f(c, *v)
		}
		return
	}
	if c.left <= 0 {
		return
	}
	if c.null() {
		c.left--
		return
	}
	if c.take(int(unsafe.Sizeof(**v))) {
		*v = new(T)
		f(c, *v)
	}
}
