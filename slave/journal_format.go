package slave

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/wire"
)

// A journal is journalMagic and then blocks, each written and flushed as one:
//
//	u32 blockMagic, u32 length of the body, u64 offset of the block in the file, u32 CRC-32C of the three before and the body, body
//
// and a body is records, each with its length as u32 before it. All numbers are big-endian. Only the last block can be torn by a crash:
// the one before was flushed first. A block says where it belongs, so that a whole one behind a broken one proves that the
// broken one was not the last, but damaged since.
const (
	journalMagic = "MEROSJL1"
	blockMagic   = 0x4d4a_b10c
	blockHead    = 20
	maxBlock     = 16 << 20 // the body of a block is closed once it is larger
)

// castagnoli is made when it is first used: a program that embeds a slave is started once more for each task.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// appendBlock appends a block for records at offset of the file, and returns how many of them it took.
func appendBlock(dst []byte, offset int64, records []slavecore.Record) ([]byte, int, error) {
	start := len(dst)
	dst = append(dst, make([]byte, blockHead)...)
	n := 0
	w := wire.NewWriter()
	defer w.Close()
	for _, r := range records {
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		var err error
		if dst, err = w.Record(dst, r); err != nil {
			return dst[:start], 0, fmt.Errorf("encode %T: %w", r, err)
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
		n++
		if len(dst)-start > maxBlock {
			break
		}
	}
	closeBlock(dst[start:], offset)
	return dst, n, nil
}

func closeBlock(b []byte, offset int64) {
	binary.BigEndian.PutUint32(b, blockMagic)
	binary.BigEndian.PutUint32(b[4:], uint32(len(b)-blockHead))
	binary.BigEndian.PutUint64(b[8:], uint64(offset))
	binary.BigEndian.PutUint32(b[16:], blockSum(b))
}

func blockSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:16], castagnoli()), castagnoli(), b[blockHead:])
}

// blockAt returns the block that begins at offset, nil if there is no whole one.
func blockAt(file []byte, offset int) []byte {
	b := file[offset:]
	if len(b) < blockHead || binary.BigEndian.Uint32(b) != blockMagic || binary.BigEndian.Uint64(b[8:]) != uint64(offset) {
		return nil
	}
	n := int(binary.BigEndian.Uint32(b[4:]))
	if n > len(b)-blockHead {
		return nil
	}
	b = b[:blockHead+n]
	if blockSum(b) != binary.BigEndian.Uint32(b[16:]) {
		return nil
	}
	return b
}

// readJournal returns the records of a journal and how long it is without a torn tail. Damage anywhere else is an error that names
// the offset: a slave that went on would forget tasks that run.
func readJournal(file []byte) (records []slavecore.Record, length int, err error) {
	if len(file) < len(journalMagic) || string(file[:len(journalMagic)]) != journalMagic {
		return nil, 0, fmt.Errorf("offset 0: is not a journal: begins with %q", file[:min(len(file), 16)])
	}
	offset := len(journalMagic)
	for offset < len(file) {
		b := blockAt(file, offset)
		if b == nil {
			if later := nextBlock(file, offset+1); later >= 0 {
				return nil, 0, fmt.Errorf("offset %d: the block is damaged, and it is not the last: there is a whole one at offset %d", offset, later)
			}
			return records, offset, nil
		}
		if records, err = readBody(records, b[blockHead:], offset+blockHead); err != nil {
			return nil, 0, err
		}
		offset += len(b)
	}
	return records, offset, nil
}

func readBody(records []slavecore.Record, body []byte, offset int) ([]slavecore.Record, error) {
	for len(body) > 0 {
		if len(body) < 4 {
			return nil, fmt.Errorf("offset %d: %d bytes are left for a record's length", offset, len(body))
		}
		n := int(binary.BigEndian.Uint32(body))
		if n > len(body)-4 {
			return nil, fmt.Errorf("offset %d: a record of %d bytes where %d are left", offset, n, len(body)-4)
		}
		r, err := wire.DecodeRecord(body[4 : 4+n])
		if err != nil {
			return nil, fmt.Errorf("offset %d: record: %w", offset, err)
		}
		records = append(records, r)
		body, offset = body[4+n:], offset+4+n
	}
	return records, nil
}

// nextBlock finds a whole block at or behind offset.
func nextBlock(file []byte, offset int) int {
	var magic [4]byte
	binary.BigEndian.PutUint32(magic[:], blockMagic)
	for offset < len(file) {
		i := bytes.Index(file[offset:], magic[:])
		if i < 0 {
			return -1
		}
		if offset += i; blockAt(file, offset) != nil {
			return offset
		}
		offset++
	}
	return -1
}
