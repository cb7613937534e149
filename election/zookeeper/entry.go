package zookeeper

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/meros-project/meros/election"
)

// A node of the log is: version (1 byte), nonce (8), number of entries (4), each entry with its length (4), and a checksum (4) of it all.
const (
	nodeVersion = 1
	nodeHeader  = 1 + 8 + 4
	nodeSum     = 4
	// batchBytes bounds the entries of a node, so that it stays well below the 1 MB that a server takes; at least one entry fits.
	batchBytes   = 512 << 10
	batchEntries = 1024
)

var table = crc32.MakeTable(crc32.Castagnoli)

// pack puts entries into a node's data. The nonce tells this attempt from that of anybody else.
func pack(nonce uint64, entries [][]byte) []byte {
	size := nodeHeader + nodeSum
	for _, e := range entries {
		size += 4 + len(e)
	}
	b := make([]byte, 0, size)
	b = append(b, nodeVersion)
	b = binary.BigEndian.AppendUint64(b, nonce)
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries)))
	for _, e := range entries {
		b = binary.BigEndian.AppendUint32(b, uint32(len(e)))
		b = append(b, e...)
	}
	return seal(b)
}

// unpack is the inverse of pack. The entries share data.
func unpack(data []byte) ([][]byte, error) {
	b, err := unseal(data)
	if err != nil {
		return nil, err
	}
	if len(b) < nodeHeader || b[0] != nodeVersion {
		return nil, fmt.Errorf("%w: its version is unknown", ErrDamaged)
	}
	n := binary.BigEndian.Uint32(b[nodeHeader-4:])
	b = b[nodeHeader:]
	if n == 0 || n > batchEntries || int(n)*4 > len(b) {
		return nil, fmt.Errorf("%w: it says that it has %d entries", ErrDamaged, n)
	}
	entries := make([][]byte, 0, n)
	for range n {
		if len(b) < 4 {
			return nil, fmt.Errorf("%w: it ends too early", ErrDamaged)
		}
		size := binary.BigEndian.Uint32(b)
		if b = b[4:]; size > election.MaxEntry || int(size) > len(b) {
			return nil, fmt.Errorf("%w: it says that an entry has %d bytes", ErrDamaged, size)
		}
		entries = append(entries, b[:size:size])
		b = b[size:]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%w: %d bytes are left over", ErrDamaged, len(b))
	}
	return entries, nil
}

// seal appends the checksum; unseal checks it and takes it off.
func seal(b []byte) []byte { return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, table)) }

func unseal(data []byte) ([]byte, error) {
	if len(data) < nodeSum {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(data))
	}
	b := data[:len(data)-nodeSum]
	if !bytes.Equal(seal(slices.Clip(b)), data) {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrDamaged)
	}
	return b, nil
}
