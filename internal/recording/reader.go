package recording

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/wire"
)

// A Reader reads one file. It trusts nothing in it and needs the memory of the checkpoint and one block.
type Reader struct {
	Header Header

	blocks blocks
	file   *os.File
	image  []byte
	rest   []byte // of the block at hand
	frame  frameAt
	ahead  *Entry // was looked at
	now    int64
	ended  bool
	ending string
	cut    bool
}

// An Entry is one recorded event.
type Entry struct {
	At     time.Time
	Event  mastercore.Event
	Digest uint32 // of the effects so far; zero where they are not known
}

// frameAt is a frame of the block at hand, and how far its messages have come.
type frameAt struct {
	conn      mastercore.ConnID
	principal string
	envs      []message.Envelope
	next      int
}

// Open opens a file. The caller closes the Reader.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := NewReader(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.file = f
	return r, nil
}

// Close closes what Open has opened.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// NewReader reads the beginning of a recording: an error that is ErrFormat says that it has none.
func NewReader(src io.Reader) (*Reader, error) {
	r := &Reader{blocks: blocks{r: bufio.NewReaderSize(src, readBuffer)}}
	head := make([]byte, len(magic)+1)
	if _, err := io.ReadFull(r.blocks.r, head); err != nil || string(head[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrFormat, magic)
	}
	if v := head[len(magic)]; v != version {
		return nil, fmt.Errorf("%w: version %d (known: %d)", ErrFormat, v, version)
	}
	r.blocks.at = int64(len(head))
	body, err := r.blocks.next(maxHeader)
	if err != nil || body[0] != blockHeader {
		return nil, fmt.Errorf("%w: no header: %w", ErrFormat, orMissing(err))
	}
	if err := json.Unmarshal(body[1:], &r.Header); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrFormat, err)
	}
	if n := r.Header.Checkpoint; n < 0 || n > maxImage {
		return nil, fmt.Errorf("%w: a checkpoint of %d bytes (allowed: 0 to %d)", ErrFormat, n, int64(maxImage))
	}
	for int64(len(r.image)) < r.Header.Checkpoint {
		body, err := r.blocks.next(maxBody)
		if err != nil || body[0] != blockPart || int64(len(r.image)+len(body)-1) > r.Header.Checkpoint {
			return nil, fmt.Errorf("%w: the checkpoint is not whole: %w", ErrFormat, orMissing(err))
		}
		r.image = append(r.image, body[1:]...)
	}
	return r, nil
}

var errMissing = errors.New("another block stands in its place")

func orMissing(err error) error {
	if err == nil {
		return errMissing
	}
	return err
}

// Next returns the next event; io.EOF after the last, and then Ending says how the file ends.
func (r *Reader) Next() (Entry, error) {
	if r.ahead != nil {
		e := *r.ahead
		r.ahead = nil
		return e, nil
	}
	return r.read()
}

// peek returns the time of the next event.
func (r *Reader) peek() (time.Time, error) {
	if r.ahead == nil {
		e, err := r.read()
		if err != nil {
			return time.Time{}, err
		}
		r.ahead = &e
	}
	return r.ahead.At, nil
}

func (r *Reader) read() (Entry, error) {
	for {
		for len(r.rest) > 0 {
			e, more, err := r.entry()
			if err != nil {
				r.rest = nil
				r.end(fmt.Sprintf("damaged before byte %d: %v", r.blocks.at, err), true)
			} else if more {
				return e, nil
			}
		}
		if r.ended {
			return Entry{}, io.EOF
		}
		body, err := r.blocks.next(maxBody)
		torn := (*errTorn)(nil)
		switch {
		case err == io.EOF:
			r.end("the file ends without a reason, as after a crash", true)
		case errors.As(err, &torn):
			r.end(torn.Error(), true)
		case err != nil:
			return Entry{}, err
		case body[0] == blockEnd:
			r.end(string(body[1:]), false)
		case body[0] == blockPad:
		case body[0] == blockEvents && len(body) > 9:
			r.now, r.rest = int64(binary.LittleEndian.Uint64(body[1:])), body[9:]
			r.frame = frameAt{}
		default:
			r.end(fmt.Sprintf("a block of kind %q with %d bytes does not belong before byte %d", body[0], len(body), r.blocks.at), true)
		}
	}
}

func (r *Reader) end(why string, cut bool) { r.ended, r.ending, r.cut = true, why, cut }

// Ending says how the file ends, once Next has returned io.EOF: the reason that the recorder gave, or, if cut, what is wrong.
func (r *Reader) Ending() (why string, cut bool) { return r.ending, r.cut }

var errEntry = errors.New("an entry is cut short")

// entry takes the next entry of the block; false for a frame, which is no event yet.
func (r *Reader) entry() (Entry, bool, error) {
	kind, err := r.number()
	if err != nil {
		return Entry{}, false, err
	}
	if kind == entryFrame {
		return Entry{}, false, r.takeFrame()
	}
	wait, n := binary.Varint(r.rest)
	if n <= 0 {
		return Entry{}, false, errEntry
	}
	r.rest = r.rest[n:]
	var ev mastercore.Event
	if kind == entryEvent {
		var b []byte
		if b, err = r.text(); err == nil {
			ev, err = wire.DecodeEvent(b)
		}
	} else {
		ev, err = r.frame.message(kind - entryMessage)
	}
	if err == nil && len(r.rest) < 4 {
		err = errEntry
	}
	if err != nil {
		return Entry{}, false, err
	}
	digest := binary.LittleEndian.Uint32(r.rest)
	r.rest = r.rest[4:]
	r.now += wait
	return Entry{At: time.Unix(0, r.now).UTC(), Event: ev, Digest: digest}, true, nil
}

func (r *Reader) takeFrame() error {
	conn, err := r.number()
	if err != nil {
		return err
	}
	principal, err := r.text()
	if err != nil {
		return err
	}
	b, err := r.text()
	if err != nil {
		return err
	}
	envs, err := wire.DecodeBatch(nil, b)
	r.frame = frameAt{conn: mastercore.ConnID(conn), principal: string(principal), envs: envs}
	return err
}

// message is the event after skip messages that are none.
func (f *frameAt) message(skip uint64) (mastercore.Event, error) {
	if skip >= uint64(len(f.envs)-f.next) {
		return nil, fmt.Errorf("a frame of %d messages has none after %d and %d more", len(f.envs), f.next, skip)
	}
	e := f.envs[f.next+int(skip)]
	f.next += int(skip) + 1
	return mastercore.Received{Conn: f.conn, Principal: f.principal, Message: e.Message}, nil
}

// number and text take what an entry is made of.
func (r *Reader) number() (uint64, error) {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		return 0, errEntry
	}
	r.rest = r.rest[n:]
	return v, nil
}

func (r *Reader) text() ([]byte, error) {
	size, err := r.number()
	if err != nil || size > uint64(len(r.rest)) {
		return nil, errEntry
	}
	b := r.rest[:size]
	r.rest = r.rest[size:]
	return b, nil
}
