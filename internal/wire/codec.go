package wire

import (
	"bytes"
	"io"
	"math"
	"sync"
	"time"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A codec writes or reads, depending on enc. Each struct has one function that lists its fields in order and serves for both, so that the
// two cannot differ. The bytes are the library's business: a codec has an encoder and a decoder of it, and both stay with it in the pool.
type codec struct {
	enc bool
	err error // the first

	w   *msgpack.Encoder // into out
	out buffer

	// Of the writer: what its last resources and framework are written as.
	wroteResources repeated[resource.Resource]
	wroteFramework repeated[offer.Framework]

	// Of the reader.
	r        *msgpack.Decoder // of in
	in       bytes.Reader     // of b
	b        []byte
	left     int    // values left in the array at hand
	budget   int    // bytes that may still be allocated
	text     string // a copy of b[textAt : textAt+len(text)], which strings are cut from
	textAt   int
	forwards bool // the bytes of a slave's status are kept with it, for whoever sends it on
	stranger bool // the decoder has copied a value that nobody knows into its buffer

	alike     resource.Resources // what the bytes in alikeFrom were read as
	alikeFrom []byte
}

const (
	// textWindow is how much input is turned into one string at a time. A string that is kept keeps at most this much more.
	textWindow = 512
	// Reading allocates at most amplification bytes for each byte of input, and spare. The zero values of our types need 24.
	amplification = 32
	spare         = 4096
	// keptInput bounds the buffer of a pooled decoder, which is as long as the longest unknown value that it has skipped.
	keptInput = 64 << 10
)

// A buffer is what the encoder writes to: it appends.
type buffer struct{ b []byte }

func (w *buffer) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *buffer) WriteByte(x byte) error {
	w.b = append(w.b, x)
	return nil
}

var codecs = sync.Pool{New: func() any {
	c := new(codec)
	c.w, c.r = msgpack.NewEncoder(&c.out), msgpack.NewDecoder(&c.in)
	return c
}}

// write appends what f lists to dst.
func write(dst []byte, f func(*codec)) ([]byte, error) {
	w := NewWriter()
	defer w.Close()
	w.c.out.b = dst
	f(w.c)
	return w.written(dst)
}

// read scans b and reads one value from it as f lists it.
func read(b []byte, l Limits, f func(*codec)) error {
	if err := Scan(b, l); err != nil {
		return err
	}
	c := codecs.Get().(*codec)
	c.in.Reset(b)
	c.b, c.left, c.budget = b, 1, len(b)*amplification+spare
	f(c)
	err := c.err
	if c.stranger && len(b) > keptInput {
		return err
	}
	c.in.Reset(nil)
	c.b, c.err, c.text, c.textAt, c.forwards, c.stranger, c.alike, c.alikeFrom = nil, nil, "", 0, false, false, nil, nil
	codecs.Put(c)
	return err
}

func (c *codec) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.left = 0
}

// did takes the result of what has no reason to fail: writing to memory, reading what has been looked at.
func (c *codec) did(err error) {
	if err != nil {
		c.fail(err)
	}
}

// at is where the reader stands in b.
func (c *codec) at() int { return len(c.b) - c.in.Len() }

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

// null tells whether a nil comes next.
func (c *codec) null() bool {
	at := c.at()
	return at < len(c.b) && c.b[at] == codeNil
}

// open begins a struct of n fields, which shut ends with what open returned.
func (c *codec) open(n int) int {
	if c.enc {
		c.did(c.w.EncodeArrayLen(n))
		return 0
	}
	length := 0
	if c.more() {
		length = c.array()
	}
	outer := c.left
	c.left = length
	return outer
}

func (c *codec) shut(outer int) {
	if c.enc {
		return
	}
	for ; c.left > 0; c.left-- { // fields of a newer writer
		c.stranger = true
		if at, err := c.at(), c.r.Skip(); err != nil {
			c.fail(malformed("byte %d: %v", at, err))
		}
	}
	if c.err == nil {
		c.left = outer
	}
}

// array reads the head of an array, or nil: how many elements follow.
func (c *codec) array() int {
	at := c.at()
	n, err := c.r.DecodeArrayLen()
	if err != nil {
		c.fail(malformed("byte %d: %v", at, err))
		return 0
	}
	return max(n, 0)
}

func signed[T ~int | ~int64](c *codec, v *T) {
	if c.enc {
		c.did(c.w.EncodeInt(int64(*v)))
		return
	}
	if !c.more() {
		return
	}
	at := c.at()
	n, err := c.r.DecodeInt64()
	switch {
	case err != nil:
		c.fail(malformed("byte %d: %v", at, err))
	case int64(T(n)) != n:
		c.fail(malformed("byte %d: number %d is too large for its field", at, n))
	case n < 0 && c.b[at] == msgpcode.Uint64: // the library lets it run over
		c.fail(malformed("byte %d: number %d is too large for its field", at, uint64(n)))
	default:
		*v = T(n)
	}
}

func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64](c *codec, v *T) {
	if c.enc {
		c.did(c.w.EncodeUint(uint64(*v)))
		return
	}
	if !c.more() {
		return
	}
	at := c.at()
	n, err := c.r.DecodeUint64()
	switch {
	case err != nil:
		c.fail(malformed("byte %d: %v", at, err))
	case uint64(T(n)) != n, n > math.MaxInt64 && c.b[at] != msgpcode.Uint64: // the library lets what is below zero run over
		c.fail(malformed("byte %d: number %d does not fit its field", at, int64(n)))
	default:
		*v = T(n)
	}
}

func (c *codec) flag(v *bool) {
	if c.enc {
		c.did(c.w.EncodeBool(*v))
		return
	}
	if !c.more() {
		return
	}
	at := c.at()
	yes, err := c.r.DecodeBool()
	if err != nil {
		c.fail(malformed("byte %d: %v", at, err))
		return
	}
	*v = yes
}

func text[T ~string](c *codec, v *T) {
	if c.enc {
		c.did(c.w.EncodeString(string(*v)))
	} else if c.more() {
		*v = T(c.readText())
	}
}

func (c *codec) readText() string {
	n := c.length(msgpcode.IsBin)
	if n == 0 {
		return ""
	}
	at := c.at()
	if _, err := c.in.Seek(int64(n), io.SeekCurrent); err != nil {
		c.fail(malformed("byte %d: %v", at, err))
		return ""
	}
	if from := at - c.textAt; from+n <= len(c.text) {
		return c.text[from : from+n]
	}
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

// openWindow sees to it that the next n bytes, or all that are left, can be cut from one string.
func (c *codec) openWindow(n int) {
	at := c.at()
	end := c.textAt + len(c.text)
	if at >= c.textAt && (at+n <= end || end == len(c.b)) {
		return
	}
	if size := min(textWindow, len(c.b)-at); c.take(size) {
		c.text, c.textAt = string(c.b[at:at+size]), at
	}
}

// length reads the head of a string or of bytes, or nil: how many bytes follow. The library takes the one for the other, so codes that
// do not belong are told by not.
func (c *codec) length(not func(code byte) bool) int {
	at := c.at()
	n, err := c.r.DecodeBytesLen()
	switch {
	case err != nil:
		c.fail(malformed("byte %d: %v", at, err))
		return 0
	case not(c.b[at]):
		c.fail(malformed("byte %d: code %#x is bytes where a string belongs, or a string where bytes belong", at, c.b[at]))
		return 0
	}
	return max(n, 0)
}

func (c *codec) blob(v *[]byte) {
	switch {
	case c.enc && len(*v) == 0:
		c.did(c.w.EncodeNil())
	case c.enc:
		c.did(c.w.EncodeBytes(*v))
	case c.more():
		if n := c.length(msgpcode.IsString); n > 0 && c.take(n) {
			*v = make([]byte, n)
			c.fill(*v)
		}
	}
}

// fill reads the bytes that length has announced.
func (c *codec) fill(b []byte) {
	at := c.at()
	if err := c.r.ReadFull(b); err != nil {
		c.fail(malformed("byte %d: %v", at, err))
	}
}

// bytes16 is a UUID or a Key: sixteen bytes, nil for zero.
func bytes16[T ~[16]byte](c *codec, v *T) {
	switch {
	case c.enc && *v == (T{}):
		c.did(c.w.EncodeNil())
	case c.enc:
		c.did(c.w.EncodeBytes((*v)[:]))
	case c.more():
		at := c.at()
		switch n := c.length(msgpcode.IsString); n {
		case 0:
		case 16:
			c.fill((*v)[:])
		default:
			c.fail(malformed("byte %d: %d bytes where 16 belong", at, n))
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
			c.did(c.w.EncodeNil())
		case v.Before(minTime):
			c.did(c.w.EncodeInt(math.MinInt64))
		case v.After(maxTime):
			c.did(c.w.EncodeInt(math.MaxInt64))
		default:
			c.did(c.w.EncodeInt(v.UnixNano()))
		}
		return
	}
	if c.left <= 0 {
		return
	}
	set := !c.null()
	var n int64
	signed(c, &n)
	if set && c.err == nil {
		*v = time.Unix(0, n).UTC()
	}
}

// list is an array whose elements f lists. None and nil are the same.
func list[S ~[]T, T any](c *codec, v *S, f func(*codec, *T)) {
	if c.enc {
		c.did(c.w.EncodeArrayLen(len(*v)))
		for i := range *v {
			f(c, &(*v)[i])
		}
		return
	}
	if !c.more() {
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

// optional is nil or what f lists. A reader may have put a zero value there, which is used then.
func optional[T any](c *codec, v **T, f func(*codec, *T)) {
	if c.enc {
		if *v == nil {
			c.did(c.w.EncodeNil())
		} else {
			f(c, *v)
		}
		return
	}
	if c.left <= 0 {
		*v = nil
		return
	}
	if c.null() {
		c.left--
		c.did(c.r.DecodeNil())
		*v = nil
		return
	}
	if !c.take(int(unsafe.Sizeof(**v))) {
		*v = nil
		return
	}
	if *v == nil {
		*v = new(T)
	}
	f(c, *v)
}

// always is what f lists, behind a pointer that is never nil. A reader may have put a zero value there, as for optional.
func always[T any](c *codec, v **T, f func(*codec, *T)) {
	if !c.enc && !c.take(int(unsafe.Sizeof(**v))) {
		return
	}
	if *v == nil {
		*v = new(T)
	}
	f(c, *v)
}
