package discovery

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"unicode"
	"unicode/utf8"
)

// The library believes what a message says of its own length: a header of twenty bytes makes it allocate 112 MiB, a packet of 16 KiB
// is unpacked to 40 MiB, an empty message that is encrypted with the key ends the process. So each message is read here before, and what the
// library would never write is refused.

// Types of messages, as the library numbers them.
const (
	msgPing         = 0
	msgIndirectPing = 1
	msgAck          = 2
	msgSuspect      = 3
	msgAlive        = 4
	msgDead         = 5
	msgPushPull     = 6
	msgCompound     = 7
	msgUser         = 8
	msgCompress     = 9
	msgEncrypt      = 10
	msgNack         = 11
	msgCRC          = 12
	msgError        = 13
)

const (
	maxPacket = 64 << 10 // bytes of a packet, decompressed
	maxStream = 8 << 20  // bytes of a message on a stream, decompressed: the states of more than 10,000 members
	maxUser   = 64 << 10 // bytes of a program's own message, which nobody here reads
	maxFields = 16
	maxField  = 255     // bytes of a name
	maxStates = 1 << 16 // members in one exchange of states
	stateSize = 128     // bytes that the library allocates for each of them
	readStep  = 64 << 10
)

// A refusal is why a message is not handed to the library. Its kind is what the log is kept quiet by.
type refusal struct{ kind, why string }

func (r *refusal) Error() string { return r.why }

func malformed(format string, args ...any) error {
	return &refusal{"malformed", "it is no message of gossip: " + fmt.Sprintf(format, args...)}
}

func oversized(what string, n, limit int) error {
	return &refusal{"oversized", fmt.Sprintf("%s has %d bytes, at most %d are allowed", what, n, limit)}
}

// A cursor reads a message, from src as far as it needs to or from buf alone.
type cursor struct {
	src  io.Reader       // nil: buf is all there is
	take func(int) error // asks for memory
	max  int             // bytes of the whole
	buf  []byte
	pos  int
}

func (c *cursor) next(n int) ([]byte, error) {
	if n > c.max-c.pos {
		if c.src == nil {
			return nil, malformed("it declares %d bytes where %d are left", n, c.max-c.pos)
		}
		return nil, oversized("it", c.pos+n, c.max)
	}
	for len(c.buf) < c.pos+n {
		if c.src == nil {
			return nil, malformed("it declares %d bytes where %d are left", n, len(c.buf)-c.pos)
		}
		step, have := min(c.pos+n-len(c.buf), readStep), len(c.buf)
		if err := c.take(step); err != nil {
			return nil, err
		}
		if cap(c.buf) < have+step {
			c.buf = slices.Grow(c.buf, max(step, have))
		}
		c.buf = c.buf[:have+step]
		if got, err := io.ReadFull(c.src, c.buf[have:]); err != nil {
			return nil, short(c.pos+n, have+got, err)
		}
	}
	b := c.buf[c.pos : c.pos+n]
	c.pos += n
	return b, nil
}

// short says that a stream ended, or paused for too long, before what it had announced.
func short(want, got int, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("it needs %d bytes and ended after %d", want, got)
	}
	return &refusal{"stream", fmt.Sprintf("it needs %d bytes and %d came: %v", want, got, err)}
}

func (c *cursor) byte() (byte, error) {
	b, err := c.next(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (c *cursor) number(bytes int) (uint64, error) {
	b, err := c.next(bytes)
	var n uint64
	for _, x := range b {
		n = n<<8 | uint64(x)
	}
	return n, err
}

// A value is what a field of a message has: the library writes nothing else.
type value struct {
	kind byte // n: nothing, i: an integer, b: a truth, s: a string or bytes
	num  int64
	raw  []byte
}

func (c *cursor) value() (v value, err error) {
	b, err := c.byte()
	if err != nil {
		return v, err
	}
	var n uint64
	switch {
	case b <= 0x7f:
		return value{kind: 'i', num: int64(b)}, nil
	case b >= 0xe0:
		return value{kind: 'i', num: int64(int8(b))}, nil
	case b >= 0xa0 && b <= 0xbf:
		n = uint64(b & 0x1f)
	case b == 0xc0:
		return value{kind: 'n'}, nil
	case b == 0xc2, b == 0xc3:
		return value{kind: 'b', num: int64(b & 1)}, nil
	case b >= 0xcc && b <= 0xd3:
		size := 1 << (b & 3) // 0xcc to 0xcf are without a sign, 0xd0 to 0xd3 with one
		if n, err = c.number(size); err != nil {
			return v, err
		}
		if b >= 0xd0 {
			shift := 64 - 8*size
			return value{kind: 'i', num: int64(n<<shift) >> shift}, nil
		}
		if n > 1<<62 {
			return v, malformed("a number is %d", n)
		}
		return value{kind: 'i', num: int64(n)}, nil
	case b == 0xc4, b == 0xd9:
		n, err = c.number(1)
	case b == 0xc5, b == 0xda:
		n, err = c.number(2)
	case b == 0xc6, b == 0xdb:
		n, err = c.number(4)
	default:
		return v, malformed("a value begins with %#x", b)
	}
	if err != nil {
		return v, err
	}
	v.kind = 's'
	v.raw, err = c.next(int(n))
	return v, err
}

// object reads a map of fields. What rules does not name may be there and have any value.
func (c *cursor) object(rules []rule) (map[string]value, error) {
	b, err := c.byte()
	if err != nil {
		return nil, err
	}
	n := uint64(b & 0x0f)
	if b == 0xde {
		if n, err = c.number(2); err != nil {
			return nil, err
		}
	} else if b&0xf0 != 0x80 {
		return nil, malformed("its fields begin with %#x", b)
	}
	if n > maxFields {
		return nil, malformed("it has %d fields, at most %d are allowed", n, maxFields)
	}
	fields := make(map[string]value, n)
	for range n {
		key, err := c.value()
		if err != nil {
			return nil, err
		}
		if key.kind != 's' || len(key.raw) > maxField {
			return nil, malformed("a field has no name")
		}
		if _, twice := fields[string(key.raw)]; twice {
			return nil, malformed("it has the field %.40q twice", key.raw)
		}
		v, err := c.value()
		if err != nil {
			return nil, err
		}
		fields[string(key.raw)] = v
	}
	for _, r := range rules {
		v, ok := fields[r.key]
		if !ok && r.must {
			return nil, malformed("it has no %s", r.key)
		}
		if ok && !r.allows(v) {
			return nil, malformed("its %s is not allowed: %.60q %d", r.key, v.raw, v.num)
		}
	}
	return fields, nil
}

// A rule says what a field may be.
type rule struct {
	key    string
	must   bool
	allows func(value) bool
}

func between(low, high int64) func(value) bool {
	return func(v value) bool { return v.kind == 'i' && v.num >= low && v.num <= high }
}

func upTo(limit int) func(value) bool {
	return func(v value) bool { return v.kind == 'n' || v.kind == 's' && len(v.raw) <= limit }
}

// text is a name, which ends up in logs and tables.
func text(v value) bool {
	if !upTo(maxField)(v) || !utf8.Valid(v.raw) {
		return false
	}
	return !slices.ContainsFunc([]rune(string(v.raw)), unicode.IsControl)
}

func name(v value) bool    { return text(v) && len(v.raw) > 0 }
func address(v value) bool { return v.kind == 's' && (len(v.raw) == 4 || len(v.raw) == 16) }
func source(v value) bool  { return v.kind == 'n' || len(v.raw) == 0 && v.kind == 's' || address(v) }
func truth(v value) bool   { return v.kind == 'b' }
func versions(v value) bool {
	return v.kind == 's' && len(v.raw) == 6
}

var (
	number32 = between(0, 1<<32-1)
	port     = between(0, 1<<16-1)
	accuse   = []rule{{"Incarnation", true, number32}, {"Node", true, name}, {"From", true, text}}
	origin   = []rule{{"SeqNo", true, number32}, {"Node", false, text}, {"SourceAddr", false, source}, {"SourcePort", false, port}, {"SourceNode", false, text}}
	node     = []rule{{"Addr", true, address}, {"Port", true, port}, {"Meta", false, upTo(maxMeta)}, {"Incarnation", true, number32}, {"Vsn", true, versions}}

	wrapped = []rule{{"Algo", true, between(0, 0)}, {"Buf", true, func(v value) bool { return v.kind == 's' }}}
	header  = []rule{{"Nodes", true, between(0, maxStates)}, {"UserStateLen", true, between(0, maxUser)}, {"Join", true, truth}}
	state   = append([]rule{{"Name", true, name}, {"State", true, between(0, 3)}}, node...)
	user    = []rule{{"UserMsgLen", true, between(0, maxUser)}}

	// bodies are the messages that are one map each.
	bodies = map[byte][]rule{
		msgPing:         origin,
		msgIndirectPing: append([]rule{{"Target", true, address}, {"Port", true, port}, {"Nack", false, truth}}, origin...),
		msgAck:          {{"SeqNo", true, number32}, {"Payload", false, upTo(1024)}},
		msgNack:         {{"SeqNo", true, number32}},
		msgSuspect:      accuse,
		msgDead:         accuse,
		msgAlive:        append([]rule{{"Node", true, name}}, node...),
		msgError:        {{"Error", true, upTo(1024)}},
	}
)

// inflate unpacks what the library has compressed.
func inflate(packed []byte, limit int, take func(int) error) ([]byte, error) {
	r := lzw.NewReader(bytes.NewReader(packed), lzw.LSB, 8)
	defer r.Close()
	var out []byte
	for {
		if cap(out) == len(out) {
			step := min(max(readStep, len(out)), limit+1-len(out))
			if err := take(step); err != nil {
				return nil, err
			}
			out = slices.Grow(out, step)
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case len(out) > limit:
			return nil, &refusal{"oversized", fmt.Sprintf("it has more than %d bytes when it is unpacked", limit)}
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, malformed("it cannot be unpacked: %v", err)
		}
	}
}

func free(int) error { return nil }

// checkPacket reads a decrypted packet and returns what the library may have of it: the same, unpacked.
func checkPacket(b []byte) ([]byte, error) {
	if len(b) >= 5 && b[0] == msgCRC {
		if crc32.ChecksumIEEE(b[5:]) != binary.BigEndian.Uint32(b[1:5]) {
			return nil, malformed("its checksum is wrong")
		}
		b = b[5:]
	}
	if len(b) > 0 && b[0] == msgCompress {
		c := cursor{buf: b, pos: 1, max: len(b)}
		fields, err := c.object(wrapped)
		if err != nil {
			return nil, err
		}
		if b, err = inflate(fields["Buf"].raw, maxPacket, free); err != nil {
			return nil, err
		}
	}
	if len(b) == 0 || b[0] != msgCompound {
		return b, checkPart(b)
	}
	c := cursor{buf: b, pos: 1, max: len(b)}
	n, err := c.byte()
	if err != nil {
		return nil, err
	}
	lengths, err := c.next(2 * int(n))
	if err != nil {
		return nil, err
	}
	for i := range int(n) {
		part, err := c.next(int(binary.BigEndian.Uint16(lengths[2*i:])))
		if err != nil {
			return nil, err
		}
		if err := checkPart(part); err != nil {
			return nil, err
		}
	}
	return b, c.end()
}

// checkPart reads one message of a packet.
func checkPart(b []byte) error {
	if len(b) == 0 {
		return malformed("it is empty")
	}
	if b[0] == msgUser {
		return nil
	}
	rules, ok := bodies[b[0]]
	if !ok || b[0] == msgError {
		return malformed("its type is %d", b[0])
	}
	c := cursor{buf: b, pos: 1, max: len(b)}
	if _, err := c.object(rules); err != nil {
		return err
	}
	return c.end()
}

// end refuses what stands behind a message.
func (c *cursor) end() error {
	if c.src == nil && c.pos != len(c.buf) {
		return malformed("%d bytes stand behind it", len(c.buf)-c.pos)
	}
	return nil
}

// readStream reads one message from a stream, decrypts and unpacks it, and returns what the library may have of it. It reads no more
// than that and asks take for all memory.
func readStream(r io.Reader, keys *ring, label string, take func(int) error) ([]byte, error) {
	c := &cursor{src: r, take: take, max: maxStream}
	kind, err := c.byte()
	if err != nil {
		return nil, err
	}
	switch {
	case kind == msgEncrypt && keys == nil:
		return nil, &refusal{"key", "it is encrypted, and this member has no key"}
	case kind != msgEncrypt && keys != nil:
		return nil, &refusal{"plain", "it is not encrypted, and this member has a key"}
	case kind == msgEncrypt:
		n, err := c.number(4)
		if err != nil {
			return nil, err
		}
		sealed, err := c.next(int(n))
		if err == nil {
			err = take(int(n)) // for what is opened
		}
		if err != nil {
			return nil, err
		}
		plain, err := keys.open(sealed, append(slices.Clone(c.buf[:5]), label...))
		if err != nil {
			return nil, err
		}
		c = &cursor{buf: plain, take: take, max: len(plain)}
		if kind, err = c.byte(); err != nil {
			return nil, err
		}
	}
	if kind == msgCompress {
		fields, err := c.object(wrapped)
		if err != nil {
			return nil, err
		}
		if err := c.end(); err != nil {
			return nil, err
		}
		plain, err := inflate(fields["Buf"].raw, maxStream, take)
		if err != nil {
			return nil, err
		}
		c = &cursor{buf: plain, take: take, max: len(plain)}
		if kind, err = c.byte(); err != nil {
			return nil, err
		}
	}
	if err := c.message(kind); err != nil {
		return nil, err
	}
	return c.buf[:c.pos], c.end()
}

// message reads the rest of a message of a stream.
func (c *cursor) message(kind byte) error {
	switch kind {
	case msgPing, msgAck, msgError:
		_, err := c.object(bodies[kind])
		return err
	case msgUser:
		fields, err := c.object(user)
		if err == nil {
			_, err = c.next(int(fields["UserMsgLen"].num))
		}
		return err
	case msgPushPull:
		fields, err := c.object(header)
		if err != nil {
			return err
		}
		for range fields["Nodes"].num {
			if err := c.take(stateSize); err != nil {
				return err
			}
			if _, err := c.object(state); err != nil {
				return err
			}
		}
		_, err = c.next(int(fields["UserStateLen"].num))
		return err
	}
	return malformed("its type is %d", kind)
}
