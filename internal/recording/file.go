package recording

import (
	"io"
	"os"
	"path/filepath"
	"unsafe"
)

// file is what a recording is written to.
type file interface {
	io.Writer
	io.Closer
}

// create makes a new file that only its owner can read: commands and environments of tasks are in it.
func create(path string) (file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return openFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
}

const fileMode = 0o600

// sector is what the sizes of writes, and the memory that they come from, are multiples of: with it a file can be written past the page cache.
const sector = 4096

// aligned returns memory for n bytes that begins at a multiple of sector.
func aligned(n int) []byte {
	b := make([]byte, 0, n+sector)
	if rest := address(b) % sector; rest > 0 {
		b = b[:sector-rest]
		b = b[len(b):]
	}
	return b
}

func isAligned(b []byte) bool { return address(b)%sector == 0 && len(b)%sector == 0 }

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// padding is how much room pad needs, at most.
const padding = sector + blockFrame

// pad ends b, which is blocks that begin at a multiple of sector, at another, with a block that says nothing.
func pad(b []byte) []byte {
	n := -len(b) & (sector - 1)
	if n == 0 {
		return b
	}
	if n <= blockFrame {
		n += sector
	}
	from := len(b)
	b = append(b, make([]byte, n)...)
	block := b[from:]
	block[blockFrame] = blockPad
	frame(block, checksum(0, block[blockFrame:]))
	return b
}
