package transport

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
)

// MaxFrame is the largest frame that is sent or accepted, in bytes, without its length field.
const MaxFrame = 4 << 20

const (
	headSize    = 5         // length and kind
	softFrame   = 256 << 10 // a batch that has reached this size is closed
	writeChunk  = 256 << 10 // written under one deadline
	readBuffer  = 2 << 10   // small: a process holds thousands of connections
	keptBuffer  = 1 << 20   // larger buffers are not kept for later use
	refuseFlush = time.Second
)

// The kinds of frames.
const (
	frameBatch   = 1
	frameRefusal = 2 // the sender closes, and says why
)

// ErrSlowConsumer closes a connection whose peer does not read fast enough: its queue is full, or a write took too long.
var ErrSlowConsumer = offer.Refuse(offer.ReasonSlowConsumer, "transport: the peer does not read fast enough")

// ConnConfig bounds a Conn. The zero value is meant to be used.
type ConnConfig struct {
	// MaxQueueBytes is how many encoded bytes may wait to be written. Defaults to 8 MiB.
	MaxQueueBytes int
	// MaxQueueMessages is how many messages may wait to be written. Defaults to 100000.
	MaxQueueMessages int
	// WriteTimeout is how long a write of up to 256 KiB may take. Defaults to 15 s.
	WriteTimeout time.Duration
	// FrameTimeout is how long a frame may take to arrive once its head has, for each 256 KiB. Defaults to 15 s.
	FrameTimeout time.Duration
	// HelloTimeout is how long the peer may take to send its first frame. Zero means for ever.
	HelloTimeout time.Duration
	// Unbatched sends each message in a frame and a write of its own: the denominator of the launch benchmark. Defaults to what the
	// net.Conn says, if it has a method Unbatched() bool, so that a Network can ask for it; else to false.
	Unbatched bool
	// Decoders, when not nil, bounds how many of the connections that share it decode a frame at the same time, by its capacity: thousands
	// that are woken together must not stand before everything else that has to run. Defaults to no bound.
	Decoders chan struct{}
	// KeepEncoded has Encoded tell the bytes of what Receive returns. Defaults to false.
	KeepEncoded bool
}

func (c ConnConfig) withDefaults() ConnConfig {
	if c.MaxQueueBytes <= 0 {
		c.MaxQueueBytes = 8 << 20
	}
	if c.MaxQueueMessages <= 0 {
		c.MaxQueueMessages = 100_000
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = 15 * time.Second
	}
	if c.FrameTimeout <= 0 {
		c.FrameTimeout = 15 * time.Second
	}
	return c
}

// A Conn sends and receives messages over a net.Conn, which it owns. Receive is for one goroutine at a time; all else is safe for concurrent
// use. It has goroutines only while there is something to write or it is about to close.
//
// Reading never runs ahead of Receive, so that no more than one frame waits for a receiver and a peer that sends faster is held up
// by its own socket.
type Conn struct {
	nc        net.Conn
	cfg       ConnConfig
	principal string
	in        *bufio.Reader
	greeted   bool // a frame has come; of the receiver
	encoded   []byte

	mu       sync.Mutex
	out      []byte // frames that wait, from a pool
	batch    batch  // the last of them, while it takes more messages
	waiting  int    // messages in out and in the write at hand
	inFlight int    // bytes in the write at hand
	writing  bool   // the writer's goroutine runs
	closing  bool   // nothing more is accepted; the writer closes when out is empty
	closed   bool
	cause    error // of closing or closed
	timer    *time.Timer

	discarded chan struct{} // closed when discard has ended; nil while it has not been needed
	done      chan struct{}
}

// A batch is a frame that is still open for messages.
type batch struct {
	open    bool
	start   int // of the frame, in out
	countAt int
	n       int
	cluster offer.ClusterID
	reign   uint64
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func getBuffer() []byte { return (*buffers.Get().(*[]byte))[:0] }

func putBuffer(b []byte) {
	if cap(b) > 0 && cap(b) <= keptBuffer {
		buffers.Put(&b)
	}
}

// NewConn makes a Conn of nc. A TLS connection must have shaken hands. Close it when done.
func NewConn(nc net.Conn, cfg ConnConfig) *Conn {
	if u, ok := nc.(interface{ Unbatched() bool }); ok && u.Unbatched() {
		cfg.Unbatched = true
	}
	return &Conn{
		nc: nc, cfg: cfg.withDefaults(), principal: principalOf(nc), in: bufio.NewReaderSize(nc, readBuffer), done: make(chan struct{}),
	}
}

// Send queues messages, in order, and never blocks. An error means that the messages from the failing one on were not queued: one too large for
// a frame (ReasonTooLarge) leaves the connection as it is; when the queue is full, the connection is closed with ErrSlowConsumer;
// otherwise the connection is closed already and the error says why. That nothing failed does not mean that the peer gets it.
func (c *Conn) Send(envs ...message.Envelope) error {
	if c.cfg.Unbatched && len(envs) > 1 { // a flush for each
		for i := range envs {
			if err := c.Send(envs[i]); err != nil {
				return err
			}
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w := wire.NewWriter()
	defer w.Close()
	for i := range envs {
		if c.closing {
			return c.cause
		}
		if err := c.enqueue(w, &envs[i]); err != nil {
			c.write()
			return err
		}
	}
	if c.closing {
		return c.cause
	}
	c.write()
	return nil
}

// enqueue encodes a message into the open batch, or a new one.
func (c *Conn) enqueue(w wire.Writer, e *message.Envelope) error {
	b := &c.batch
	if b.open && (c.cfg.Unbatched || len(c.out)-b.start >= softFrame || b.cluster != e.Cluster || b.reign != e.Reign) {
		c.endBatch()
	}
	for {
		fresh := !b.open
		mark := len(c.out)
		if fresh {
			c.beginBatch(e)
		}
		before := len(c.out)
		out, err := w.Message(c.out, e.Message)
		c.out = out
		switch {
		case err == nil && len(c.out)-b.start-4 <= MaxFrame:
			b.n++
			c.waiting++
			if len(c.out)+c.inFlight > c.cfg.MaxQueueBytes || c.waiting > c.cfg.MaxQueueMessages {
				c.abort(ErrSlowConsumer)
				return c.cause
			}
			return nil
		case err == nil && !fresh: // it needs a frame of its own
			c.out = c.out[:before]
			c.endBatch()
			continue
		case err == nil:
			err = offer.Refuse(offer.ReasonTooLarge, fmt.Sprintf("transport: message of kind %d has %d bytes (allowed: %d with the frame's head)",
				e.Message.Kind(), len(c.out)-before, MaxFrame))
		}
		c.out = c.out[:before]
		if fresh {
			c.out = c.out[:mark]
			c.batch = batch{}
		}
		return err
	}
}

func (c *Conn) beginBatch(e *message.Envelope) {
	if c.out == nil {
		c.out = getBuffer()
	}
	b := batch{open: true, start: len(c.out), cluster: e.Cluster, reign: e.Reign}
	c.out = append(c.out, 0, 0, 0, 0, frameBatch)
	c.out, b.countAt = wire.OpenBatch(c.out, e.Cluster, e.Reign)
	c.batch = b
}

func (c *Conn) endBatch() {
	if b := c.batch; b.open {
		wire.CloseBatch(c.out, b.countAt, b.n)
		binary.BigEndian.PutUint32(c.out[b.start:], uint32(len(c.out)-b.start-4))
	}
	c.batch = batch{}
}

// write sees to it that the writer runs while something waits.
func (c *Conn) write() {
	if !c.writing && !c.closed && (len(c.out) > 0 || c.closing) {
		c.writing = true
		go c.drain()
	}
}

// drain writes until nothing waits.
func (c *Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > 0 && !c.closed {
		c.endBatch()
		b, n := c.out, c.waiting
		c.out, c.inFlight = nil, len(b)
		c.mu.Unlock()
		err := c.writeOut(b)
		putBuffer(b)
		c.mu.Lock()
		c.inFlight = 0
		c.waiting -= n
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				err = fmt.Errorf("%w: a write to %s took longer than %s", ErrSlowConsumer, c.nc.RemoteAddr(), c.cfg.WriteTimeout)
			}
			c.abort(err)
		}
	}
	if c.discarded != nil {
		if !c.closed {
			c.mu.Unlock()
			if half, ok := c.nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
				<-c.discarded
			}
			c.mu.Lock()
			c.abort(c.cause)
		}
		c.mu.Unlock()
		<-c.discarded
		c.mu.Lock()
	}
	c.writing = false
	if c.closed {
		c.release()
	}
}

func (c *Conn) writeOut(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), writeChunk)
		if c.cfg.Unbatched {
			n = 4 + int(binary.BigEndian.Uint32(b))
		}
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.cfg.WriteTimeout)); err != nil {
			return err
		}
		if _, err := c.nc.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// discard reads what still comes after we have begun to close, until the peer closes too: a peer that writes to us must not be held up, and
// to close with unread input would throw away what the peer has not read yet.
func (c *Conn) discard() {
	defer close(c.discarded)
	_ = c.nc.SetReadDeadline(time.Time{}) // what is late is not read as what has ended
	b := getBuffer()
	defer putBuffer(b)
	for {
		if _, err := c.nc.Read(b[:cap(b)]); err != nil {
			return
		}
	}
}

// Receive returns the messages of the next frame, appended to dst. The caller owns them; Envelopes takes the slice back. After an error the connection is closed: io.EOF when the peer
// has ended it in order, a *offer.Refusal when the peer sent what is not allowed (which it is told) or refused us, or what Err returns.
func (c *Conn) Receive(dst []message.Envelope) ([]message.Envelope, error) {
	for {
		if err := c.Err(); err != nil {
			return nil, err
		}
		envs, err := c.receive(dst)
		c.mu.Lock()
		if err != nil {
			c.fail(err)
		}
		err = c.cause
		c.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if len(envs) > len(dst) {
			return envs, nil
		}
	}
}

// Encoded returns, with ConnConfig.KeepEncoded, the frame of which the last Receive has appended the messages, as wire.DecodeBatch reads it.
// The bytes are the caller's, who may give them to ReleaseEncoded when it is done.
func (c *Conn) Encoded() []byte { return c.encoded }

// ReleaseEncoded gives the bytes of a frame back, for another one. Nothing may refer to them any more.
func ReleaseEncoded(frame []byte) { putBuffer(frame) }

// A fault is what a peer did wrong, and is told.
type fault struct{ *offer.Refusal }

func (f fault) Unwrap() error { return f.Refusal }

func (c *Conn) receive(dst []message.Envelope) ([]message.Envelope, error) {
	kind, body, err := c.readFrame()
	if err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			putBuffer(body)
		}
	}()
	if c.cfg.Decoders != nil {
		c.cfg.Decoders <- struct{}{}
		defer func() { <-c.cfg.Decoders }()
	}
	switch kind {
	case frameBatch:
		envs, err := wire.DecodeBatch(Envelopes.Room(dst, likely(body)), body)
		if c.cfg.KeepEncoded && err == nil {
			c.encoded, kept = body, true
		}
		return envs, asFault(err)
	case frameRefusal:
		r, err := wire.DecodeRefusal(body)
		if err != nil {
			return nil, asFault(err)
		}
		return nil, fmt.Errorf("transport: refused by %s: %w", c.nc.RemoteAddr(), r)
	}
	return nil, fault{offer.Refuse(offer.ReasonUnsupported, fmt.Sprintf("transport: frame kind %d is not known to this version", kind))}
}

func asFault(err error) error {
	if r, ok := err.(*offer.Refusal); ok && r != nil {
		return fault{r}
	}
	return err
}

// readFrame reads one frame. Memory for the body grows with what has arrived, not with what was announced.
func (c *Conn) readFrame() (kind byte, body []byte, err error) {
	var head [headSize]byte
	if !c.greeted && c.cfg.HelloTimeout > 0 {
		if err := c.nc.SetReadDeadline(time.Now().Add(c.cfg.HelloTimeout)); err != nil {
			return 0, nil, err
		}
	}
	if n, err := io.ReadFull(c.in, head[:]); err != nil {
		if isTimeout(err) {
			return 0, nil, late("the first message", c.cfg.HelloTimeout)
		}
		if n == 0 || err != io.ErrUnexpectedEOF {
			return 0, nil, err
		}
		return 0, nil, fault{offer.Refuse(offer.ReasonMalformed, fmt.Sprintf("transport: the stream ended %d bytes into the head of a frame", n))}
	}
	length := binary.BigEndian.Uint32(head[:])
	switch {
	case length > MaxFrame:
		return 0, nil, fault{offer.Refuse(offer.ReasonTooLarge, fmt.Sprintf("transport: frame of %d bytes (allowed: %d)", length, MaxFrame))}
	case length < 2:
		return 0, nil, fault{offer.Refuse(offer.ReasonMalformed, fmt.Sprintf("transport: frame of %d bytes (allowed: 2 or more)", length))}
	}
	want := int(length) - 1
	if !c.greeted && c.cfg.HelloTimeout > 0 || c.in.Buffered() < want {
		patience := c.cfg.FrameTimeout * time.Duration(1+want/writeChunk)
		if err := c.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return 0, nil, err
		}
		defer func() {
			if isTimeout(err) {
				err = late(fmt.Sprintf("a frame of %d bytes", length), patience)
			} else if err == nil {
				err = c.nc.SetReadDeadline(time.Time{})
			}
		}()
	}
	c.greeted = true
	body = getBuffer()
	for len(body) < want {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(want, 4*cap(body)))
			copy(grown, body)
			putBuffer(body)
			body = grown
		}
		have := len(body)
		body = body[:min(want, cap(body))]
		if n, err := io.ReadFull(c.in, body[have:]); err != nil {
			putBuffer(body)
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = fault{offer.Refuse(offer.ReasonMalformed, fmt.Sprintf("transport: the stream ended %d bytes into a frame of %d", have+n+1, length))}
			}
			return 0, nil, err
		}
	}
	return head[4], body, nil
}

func isTimeout(err error) bool {
	ne, ok := err.(net.Error)
	return ok && ne.Timeout()
}

// late is the fault of a peer that takes a place and does not use it.
func late(what string, after time.Duration) error {
	return fault{offer.Refuse(offer.ReasonLimitReached, fmt.Sprintf("transport: %s did not come within %s", what, after))}
}

// fail ends the connection after a failed read, unless it is about to end in its own way.
func (c *Conn) fail(err error) {
	if c.closing {
		return
	}
	if f, ok := err.(fault); ok {
		c.refuse(f.Refusal)
		return
	}
	c.abort(err)
}

// Refuse tells the peer why, and closes. What was sent before still goes out. It does not block.
func (c *Conn) Refuse(r *offer.Refusal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.refuse(r)
	}
}

func (c *Conn) refuse(r *offer.Refusal) {
	c.endBatch()
	if c.out == nil {
		c.out = getBuffer()
	}
	start := len(c.out)
	c.out = wire.AppendRefusal(append(c.out, 0, 0, 0, 0, frameRefusal), r)
	binary.BigEndian.PutUint32(c.out[start:], uint32(len(c.out)-start-4))
	c.closeAfterFlush(r, refuseFlush)
}

// CloseAfterFlush closes the connection once what was sent has been written and the peer has closed its side too, at the latest after
// timeout. Nothing more can be sent or received. It does not block; Done tells when it is over.
func (c *Conn) CloseAfterFlush(timeout time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.closeAfterFlush(net.ErrClosed, timeout)
	}
}

func (c *Conn) closeAfterFlush(cause error, timeout time.Duration) {
	c.closing, c.cause = true, cause
	c.timer = time.AfterFunc(timeout, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.abort(cause)
	})
	c.discarded = make(chan struct{})
	go c.discard()
	c.write()
}

// abort closes at once. The first cause stays.
func (c *Conn) abort(cause error) {
	if !c.closing {
		c.cause = cause
	}
	c.closing = true
	if c.closed {
		return
	}
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	// Closing a TLS connection in order may block on a peer that does not read.
	if t, ok := c.nc.(*tls.Conn); ok {
		_ = t.NetConn().Close()
	} else {
		_ = c.nc.Close()
	}
	if !c.writing {
		c.release()
	}
}

// release gives back what a closed connection holds, once the writer has ended.
func (c *Conn) release() {
	putBuffer(c.out)
	c.out, c.batch = nil, batch{}
	close(c.done)
}

// Close closes the connection at once and returns when its goroutines have ended. What waits is lost. It returns nil, always.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.abort(net.ErrClosed)
	c.mu.Unlock()
	<-c.done
	return nil
}

// Done is closed once the connection is closed and its goroutines have ended.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection is closed or about to be, nil while it is open. It is net.ErrClosed after Close and CloseAfterFlush.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Principal is the common name of the peer's verified TLS certificate, or its first DNS name; empty when there is none.
func (c *Conn) Principal() string { return c.principal }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// LocalAddr is our own address.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

func principalOf(nc net.Conn) string {
	t, ok := nc.(*tls.Conn)
	if !ok {
		return ""
	}
	chains := t.ConnectionState().VerifiedChains
	if len(chains) == 0 || len(chains[0]) == 0 {
		return ""
	}
	leaf := chains[0][0]
	if leaf.Subject.CommonName == "" && len(leaf.DNSNames) > 0 {
		return leaf.DNSNames[0]
	}
	return leaf.Subject.CommonName
}
