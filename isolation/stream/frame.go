package stream

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// Kind tells frames apart.
type Kind uint8

// The kinds of frames, with what is in their bodies.
const (
	Start   Kind = 1 + iota // JSON: what is asked for
	Started                 // JSON: what was begun
	Refused                 // JSON: why it was not
	Stdin                   // bytes; none of them is the end
	Stdout                  // bytes
	Stderr                  // bytes
	Window                  // how many bytes of Stdin were used, in four bytes
	Resize                  // rows and columns, in two bytes each
	Signal                  // its number, in one byte
	Exit                    // JSON: how it has ended
)

// What the body of a frame may have, in bytes.
const (
	MaxData = 32 << 10 // of Stdin, Stdout and Stderr
	MaxJSON = 4 << 20  // of Start, Started, Refused and Exit
)

// limit is the longest body of a kind; kinds that are not known have none.
func (k Kind) limit() int {
	switch k {
	case Start, Started, Refused, Exit:
		return MaxJSON
	case Stdin, Stdout, Stderr:
		return MaxData
	case Window, Resize:
		return 4
	case Signal:
		return 1
	}
	return -1
}

const headerBytes = 5

// A Conn sends and receives frames. Send may be called from several goroutines, Receive from one at a time.
type Conn struct {
	out io.Writer
	in  *bufio.Reader

	sending sync.Mutex
	buf     []byte

	body bytes.Buffer
}

// NewConn returns a Conn that reads from in and writes each frame to out with one call. Whoever opened those closes them.
func NewConn(in io.Reader, out io.Writer) *Conn {
	return &Conn{out: out, in: bufio.NewReaderSize(in, MaxData+headerBytes)}
}

// Send writes one frame. It blocks while the other side does not read.
func (c *Conn) Send(k Kind, body []byte) error {
	if len(body) > k.limit() {
		return fmt.Errorf("stream: frame of kind %d with %d bytes (allowed: at most %d)", k, len(body), k.limit())
	}
	c.sending.Lock()
	defer c.sending.Unlock()
	c.buf = append(c.buf[:0], byte(k))
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(body)))
	c.buf = append(c.buf, body...)
	_, err := c.out.Write(c.buf)
	if cap(c.buf) > 2*MaxData {
		c.buf = nil
	}
	return err
}

// SendJSON writes one frame with v in it.
func (c *Conn) SendJSON(k Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.Send(k, b)
}

// SendData writes bytes in as many frames as they need.
func (c *Conn) SendData(k Kind, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), MaxData)
		if err := c.Send(k, b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// SendWindow writes a frame of kind Window.
func (c *Conn) SendWindow(used int) error {
	return c.Send(Window, binary.BigEndian.AppendUint32(nil, uint32(used)))
}

// SendSize writes a frame of kind Resize.
func (c *Conn) SendSize(rows, columns uint16) error {
	return c.Send(Resize, binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, rows), columns))
}

// Receive reads one frame. Its body is good until the next call. Memory is taken for what has arrived, not for what is announced.
func (c *Conn) Receive() (Kind, []byte, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(c.in, header[:]); err != nil {
		return 0, nil, err
	}
	k, n := Kind(header[0]), binary.BigEndian.Uint32(header[1:])
	if limit := k.limit(); limit < 0 || n > uint32(limit) {
		return 0, nil, fmt.Errorf("stream: frame of kind %d with %d bytes (allowed: kinds %d to %d, at most %d bytes)", k, n, Start, Exit, max(limit, 0))
	}
	c.body.Reset()
	if c.body.Cap() > 2*MaxData {
		c.body = bytes.Buffer{}
	}
	if m, err := io.CopyN(&c.body, c.in, int64(n)); err != nil {
		return 0, nil, fmt.Errorf("stream: frame of kind %d ends after %d of %d bytes: %w", k, m, n, io.ErrUnexpectedEOF)
	}
	b := c.body.Bytes()
	if (k == Window || k == Resize || k == Signal) && len(b) != k.limit() {
		return 0, nil, fmt.Errorf("stream: frame of kind %d with %d bytes (allowed: %d)", k, len(b), k.limit())
	}
	return k, b, nil
}

// Number is the body of a Window or a Signal.
func Number(body []byte) int {
	if len(body) == 1 {
		return int(body[0])
	}
	return int(binary.BigEndian.Uint32(body))
}

// Size is the body of a Resize.
func Size(body []byte) (rows, columns uint16) {
	return binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])
}
