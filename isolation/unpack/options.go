package unpack

import (
	"cmp"
	"context"
	"fmt"
	"io"
)

// Options say what an archive may hold and what becomes of it. The zero value is safe for a folder that its user works in.
type Options struct {
	// MaxBytes bounds the bytes that are written. Defaults to 8 GiB.
	MaxBytes int64
	// MaxEntries bounds the entries, those that are left out included. Defaults to 200,000.
	MaxEntries int
	// MaxRatio bounds how many times larger than the archive its content is, once that has FreeBytes. Defaults to 200.
	MaxRatio int64

	// Rootfs says that the folder becomes the root folder of a container: links may point anywhere, because they are followed only there;
	// devices, fifos and sockets are left out instead of refused, because a container gets its own; owners are kept where this process is
	// root, sticky bits and times of change always.
	Rootfs bool
	// Setuid keeps setuid and setgid bits of a Rootfs.
	Setuid bool
	// Reserved are names at the top that an archive may not hold.
	Reserved []string
	// Entry, if not nil, is asked about each entry by its clean name; false leaves it out.
	Entry func(name string) (keep bool, err error)
	// Sum, if not nil, is written every byte of a tar archive before compression, to its end and not only to that of its last entry. An error
	// of it is ignored.
	Sum io.Writer
}

// FreeBytes may be unpacked from an archive of any size: below that, no ratio is looked at.
const FreeBytes = 64 << 20

func (o Options) withDefaults() Options {
	o.MaxBytes = cmp.Or(o.MaxBytes, 8<<30)
	o.MaxEntries = cmp.Or(o.MaxEntries, 200_000)
	o.MaxRatio = cmp.Or(o.MaxRatio, 200)
	return o
}

// A meter counts what goes in and comes out.
type meter struct {
	ctx     context.Context
	o       Options
	packed  int64 // read so far
	out     int64 // written so far
	entries int
}

func (m *meter) entry() error {
	if m.entries++; m.entries > m.o.MaxEntries {
		return fmt.Errorf("more than %d entries, the most that is allowed", m.o.MaxEntries)
	}
	return m.ctx.Err()
}

func (m *meter) wrote(n int) error {
	m.out += int64(n)
	switch {
	case m.out > m.o.MaxBytes:
		return fmt.Errorf("more than %d bytes when unpacked, the most that is allowed", m.o.MaxBytes)
	case m.out > FreeBytes && m.out/m.o.MaxRatio > m.packed:
		return fmt.Errorf("unpacks to more than %d times its size, the most that is allowed", m.o.MaxRatio)
	}
	return m.ctx.Err()
}

// A packed reader counts the bytes of the archive itself.
type packed struct {
	r io.Reader
	m *meter
}

func (p packed) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.m.packed += int64(n)
	if err == nil {
		err = p.m.ctx.Err()
	}
	return n, err
}

// An unpacked writer bounds what is written.
type unpacked struct {
	w io.Writer
	m *meter
}

func (u unpacked) Write(b []byte) (int, error) {
	if err := u.m.wrote(len(b)); err != nil {
		return 0, err
	}
	return u.w.Write(b)
}
