package raft

import (
	"encoding/binary"
	"fmt"
	"net"
)

// Limits of one raft message. The largest is an AppendEntries of 16 entries of election.MaxEntry.
const (
	maxMessage  = 8 << 20
	maxBlob     = 1 << 20 // a string or byte string
	maxElements = 1 << 10 // an array or map
	maxDepth    = 8
)

const rpcInstallSnapshot = 2 // its request is followed by Size bytes of snapshot

// errScan is what a scanned connection fails with.
type errScan struct{ why string }

func (e errScan) Error() string { return "raft: refused message: " + e.why }

// errKey: the decoder takes an array of small numbers for a string, so that a field could be named in a way that the scanner does not read.
var errKey = errScan{"a field's name is no string"}

// A scanner follows a stream of msgpack values, byte by byte and without recursion or allocation, and fails before a decoder that
// is given the same bytes could allocate more than the limits above allow.
type scanner struct {
	requests    bool  // each value is preceded by a type byte
	maxSnapshot int64 // the largest body of an InstallSnapshot

	started bool // inside a message
	kind    byte // of the request
	total   int  // bytes of the message so far, and those declared
	body    int64

	depth  int
	left   [maxDepth]int  // values left in each open array or map
	isMap  [maxDepth]bool // the open one is a map: its keys are the values at an even count left
	length [8]byte        // of the header being read
	need   int            // bytes of it still missing
	have   int
	head   byte
	skip   int // bytes of payload left

	key     [8]byte // the last string seen at depth 1, cut to eight bytes
	keyLen  int
	isKey   bool // the payload being skipped is a key of the outermost map
	sizeOf  bool // the next value is the field Size
	sizeSet bool
}

// feed looks at the next bytes of the stream.
func (s *scanner) feed(p []byte) error {
	for len(p) > 0 {
		switch {
		case s.body > 0:
			n := min(int64(len(p)), s.body)
			s.body -= n
			p = p[n:]
		case s.skip > 0:
			n := min(len(p), s.skip)
			if s.isKey {
				for _, b := range p[:n] {
					if s.keyLen < len(s.key) {
						s.key[s.keyLen] = b
					}
					s.keyLen++
				}
			}
			s.skip -= n
			p = p[n:]
			if s.skip == 0 {
				s.blobDone()
			}
		case s.need > 0:
			s.length[s.have] = p[0]
			s.have++
			s.need--
			p = p[1:]
			if s.need == 0 {
				if err := s.header(); err != nil {
					return err
				}
			}
		default:
			if err := s.first(p[0]); err != nil {
				return err
			}
			p = p[1:]
		}
	}
	return nil
}

func (s *scanner) spend(n int) error {
	if s.total += n; s.total > maxMessage {
		return errScan{fmt.Sprintf("it has more than %d bytes", maxMessage)}
	}
	return nil
}

// first takes the first byte of a message or value.
func (s *scanner) first(b byte) error {
	if !s.started {
		s.started, s.total, s.depth, s.sizeSet = true, 0, 0, false
		if s.requests {
			s.kind = b
			if b > 4 {
				return errScan{fmt.Sprintf("its type is %d, allowed is 0 to 4", b)}
			}
			return nil
		}
	}
	if err := s.spend(1); err != nil {
		return err
	}
	s.head, s.have = b, 0
	switch {
	case b <= 0x7f: // positive fixint
		return s.number(int64(b), true)
	case b <= 0x8f:
		return s.open(int(b&0x0f), true)
	case b <= 0x9f:
		return s.open(int(b&0x0f), false)
	case b <= 0xbf:
		return s.blob(int(b & 0x1f))
	case b >= 0xe0: // negative fixint
		return s.number(int64(int8(b)), true)
	}
	switch b {
	case 0xc0, 0xc2, 0xc3: // nil, false, true
		return s.number(0, false)
	case 0xc4, 0xd9, 0xcc, 0xd0: // bin8, str8, uint8, int8
		s.need = 1
	case 0xc5, 0xda, 0xdc, 0xde, 0xcd, 0xd1: // bin16, str16, array16, map16, uint16, int16
		s.need = 2
	case 0xc6, 0xdb, 0xdd, 0xdf, 0xce, 0xd2, 0xca: // bin32, str32, array32, map32, uint32, int32, float32
		s.need = 4
	case 0xcf, 0xd3, 0xcb: // uint64, int64, float64
		s.need = 8
	default:
		return errScan{fmt.Sprintf("value of kind 0x%02x, which raft does not use", b)}
	}
	return s.spend(s.need)
}

// header acts on a head byte whose length or number is complete.
func (s *scanner) header() error {
	var b [8]byte
	copy(b[8-s.have:], s.length[:s.have])
	v := binary.BigEndian.Uint64(b[:])
	switch s.head {
	case 0xc4, 0xd9, 0xc5, 0xda, 0xc6, 0xdb:
		return s.blob(int(v))
	case 0xdc, 0xdd:
		return s.open(int(v), false)
	case 0xde, 0xdf:
		return s.open(int(v), true)
	case 0xd0:
		return s.number(int64(int8(v)), true)
	case 0xd1:
		return s.number(int64(int16(v)), true)
	case 0xd2:
		return s.number(int64(int32(v)), true)
	case 0xca, 0xcb:
		return s.number(0, false)
	default:
		return s.number(int64(v), true)
	}
}

// atKey tells whether the value that begins or ends now is a key of the outermost map.
func (s *scanner) atKey() bool { return s.depth == 1 && s.isMap[0] && s.left[0]%2 == 0 }

func (s *scanner) blob(n int) error {
	if n > maxBlob {
		return errScan{fmt.Sprintf("a string of %d bytes, at most %d are allowed", n, maxBlob)}
	}
	if err := s.spend(n); err != nil {
		return err
	}
	if s.isKey = s.atKey(); s.isKey {
		s.keyLen = 0
	}
	if s.sizeOf {
		return errScan{"its size is no number"}
	}
	if s.skip = n; n == 0 {
		s.blobDone()
	}
	return nil
}

func (s *scanner) blobDone() {
	if s.isKey {
		s.sizeOf = s.requests && s.kind == rpcInstallSnapshot && string(s.key[:min(s.keyLen, len(s.key))]) == "Size"
		s.isKey = false
	}
	s.valueDone()
}

func (s *scanner) open(n int, isMap bool) error {
	if n > maxElements {
		return errScan{fmt.Sprintf("%d elements, at most %d are allowed", n, maxElements)}
	}
	if s.atKey() {
		return errKey
	}
	if s.sizeOf {
		return errScan{"its size is no number"}
	}
	if s.requests && s.depth == 0 && !isMap {
		return errScan{"it is an array, not a map"} // the decoder would take the fields by position, Size among them
	}
	if n == 0 {
		s.valueDone()
		return nil
	}
	if s.depth == maxDepth {
		return errScan{fmt.Sprintf("it is nested deeper than %d", maxDepth)}
	}
	if isMap {
		n *= 2
	}
	s.left[s.depth], s.isMap[s.depth] = n, isMap
	s.depth++
	return nil
}

func (s *scanner) number(v int64, isInt bool) error {
	if s.atKey() {
		return errKey
	}
	if s.sizeOf {
		switch {
		case s.sizeSet:
			return errScan{"its size is given twice"}
		case !isInt || v < 0 || v > s.maxSnapshot:
			return errScan{fmt.Sprintf("a snapshot of %d bytes, allowed is 0 to %d", v, s.maxSnapshot)}
		}
		s.sizeOf, s.sizeSet = false, true
		s.bodyAfter(v)
	}
	s.valueDone()
	return nil
}

// bodyAfter remembers how many raw bytes follow the message. They are kept negative until it ends.
func (s *scanner) bodyAfter(n int64) { s.body = -n }

func (s *scanner) valueDone() {
	for s.depth > 0 {
		if s.left[s.depth-1]--; s.left[s.depth-1] > 0 {
			return
		}
		s.depth--
	}
	s.started = false
	s.body = -s.body
}

// A scannedConn closes itself at the first byte that its scanner refuses.
type scannedConn struct {
	net.Conn
	scan    scanner
	refused func(error)
}

func (c *scannedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if scanErr := c.scan.feed(p[:n]); scanErr != nil {
		_ = c.Conn.Close()
		if c.refused != nil {
			c.refused(scanErr)
		}
		return 0, scanErr
	}
	return n, err
}
