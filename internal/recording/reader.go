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
	"github.com/meros-project/meros/internal/wire"
)

// A Reader reads one file. It trusts nothing in it and needs the memory of the checkpoint and one block.
type Reader struct {
	Header Header

	blocks blocks
	file   *os.File
	image  []byte
	rest   []byte // of the block at hand
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
	r := &Reader{blocks: blocks{r: bufio.NewReaderSize(src, blockSize)}}
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
	for len(r.rest) == 0 {
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
		case body[0] == blockEvents && len(body) > 9:
			r.now, r.rest = int64(binary.LittleEndian.Uint64(body[1:])), body[9:]
		default:
			r.end(fmt.Sprintf("a block of kind %q with %d bytes does not belong before byte %d", body[0], len(body), r.blocks.at), true)
		}
	}
	e, err := r.entry()
	if err != nil {
		r.rest = nil
		r.end(fmt.Sprintf("damaged before byte %d: %v", r.blocks.at, err), true)
		return Entry{}, io.EOF
	}
	return e, nil
}

func (r *Reader) end(why string, cut bool) { r.ended, r.ending, r.cut = true, why, cut }

// Ending says how the file ends, once Next has returned io.EOF: the reason that the recorder gave, or, if cut, what is wrong.
func (r *Reader) Ending() (why string, cut bool) { return r.ending, r.cut }

var errEntry = errors.New("an entry is cut short")

func (r *Reader) entry() (Entry, error) {
	wait, n := binary.Varint(r.rest)
	if n <= 0 {
		return Entry{}, errEntry
	}
	size, m := binary.Uvarint(r.rest[n:])
	if m <= 0 || size > uint64(len(r.rest)-n-m) || len(r.rest)-n-m-int(size) < 4 {
		return Entry{}, errEntry
	}
	from := n + m
	ev, err := wire.DecodeEvent(r.rest[from : from+int(size)])
	if err != nil {
		return Entry{}, err
	}
	digest := binary.LittleEndian.Uint32(r.rest[from+int(size):])
	r.rest = r.rest[from+int(size)+4:]
	r.now += wait
	return Entry{At: time.Unix(0, r.now).UTC(), Event: ev, Digest: digest}, nil
}
