package recording

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/meros-project/meros/offer"
)

const (
	magic      = "MEROSREC"
	version    = 2
	blockSize  = 1 << 20 // of entries that are written together: a write costs less a byte the larger it is, and so does a wake-up
	readBuffer = 64 << 10
	maxBody    = 16 << 20 // of one block
	maxHeader  = 64 << 10
	partSize   = 1 << 20 // of a checkpoint's blocks
	maxImage   = 4 << 30
	blockFrame = 8
)

// The kinds of blocks.
const (
	blockHeader = 'H'
	blockPart   = 'C'
	blockEvents = 'E'
	blockEnd    = 'X'
	blockPad    = 'P'
)

// The kinds of entries in a block of events.
const (
	entryEvent   = iota // an event with its encoding
	entryFrame          // what came over a connection at once; the messages that follow are in it
	entryMessage        // an event that is the next message of the frame; one more for each message in between that is none
)

// A Header says what a file holds.
type Header struct {
	Build      string          `json:"build"`   // fingerprint of the types in the checkpoint
	Version    string          `json:"version"` // of the program, for people
	Cluster    offer.ClusterID `json:"cluster"`
	Reign      uint64          `json:"reign"`
	Master     string          `json:"master"`
	File       int             `json:"file"` // counts the files of the reign, from 1
	At         time.Time       `json:"at"`   // of the checkpoint
	Checkpoint int64           `json:"checkpoint"`
	Gap        string          `json:"gap,omitempty"` // why events before this file are missing, if some of the reign's are
	Missed     uint64          `json:"missed,omitempty"`
}

// ErrFormat is returned for what is not a recording, or whose beginning is damaged.
var ErrFormat = errors.New("recording: not a recording that this program can read")

// castagnoli is made when it is first used: a program that embeds a slave is started once more for each task.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// writeBlock writes a body as one block.
func writeBlock(w io.Writer, body []byte) error {
	block := append(make([]byte, blockFrame, blockFrame+len(body)), body...)
	frame(block, checksum(0, block[blockFrame:]))
	_, err := w.Write(block)
	return err
}

// frame fills in the first bytes of a block, which were left for it.
func frame(block []byte, sum uint32) {
	binary.LittleEndian.PutUint32(block, uint32(len(block)-blockFrame))
	binary.LittleEndian.PutUint32(block[4:], sum)
}

// checksum goes on with a sum, which begins at zero.
func checksum(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli(), b) }

// writeBeginning writes everything before the first events.
func writeBeginning(w io.Writer, h Header, image []byte) error {
	if _, err := w.Write(append([]byte(magic), version)); err != nil {
		return err
	}
	h.Checkpoint = int64(len(image))
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := writeBlock(w, append([]byte{blockHeader}, text...)); err != nil {
		return err
	}
	part := make([]byte, 0, 1+min(len(image), partSize))
	for len(image) > 0 {
		n := min(len(image), partSize)
		part = append(append(part[:0], blockPart), image[:n]...)
		if err := writeBlock(w, part); err != nil {
			return err
		}
		image = image[n:]
	}
	return nil
}

// blocks reads blocks one after the other.
type blocks struct {
	r    io.Reader
	at   int64 // in the file
	body []byte
}

// errTorn says that the rest of a file is not a whole block: the writer died, or the file is damaged.
type errTorn struct {
	at  int64
	why string
}

func (e *errTorn) Error() string {
	return fmt.Sprintf("cut off or damaged at byte %d: %s", e.at, e.why)
}

// next returns the body of the next block, good until the one after it; io.EOF at the end of the file.
func (b *blocks) next(limit int) ([]byte, error) {
	var frame [blockFrame]byte
	switch n, err := io.ReadFull(b.r, frame[:]); {
	case err == io.EOF:
		return nil, io.EOF
	case err == io.ErrUnexpectedEOF:
		return nil, &errTorn{b.at, fmt.Sprintf("%d bytes of a block's beginning", n)}
	case err != nil:
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(frame[:]))
	if size == 0 || size > int64(limit) {
		return nil, &errTorn{b.at, fmt.Sprintf("a block of %d bytes (allowed: 1 to %d)", size, limit)}
	}
	b.body = b.body[:0]
	for int64(len(b.body)) < size { // memory follows what is there, not what is declared
		n := min(int(size)-len(b.body), max(readBuffer, len(b.body)))
		from := len(b.body)
		b.body = append(b.body, make([]byte, n)...)
		if _, err := io.ReadFull(b.r, b.body[from:]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				return nil, &errTorn{b.at, "the end of a block is missing"}
			}
			return nil, err
		}
	}
	if checksum(0, b.body) != binary.LittleEndian.Uint32(frame[4:]) {
		return nil, &errTorn{b.at, "a wrong checksum"}
	}
	b.at += blockFrame + size
	return b.body, nil
}
