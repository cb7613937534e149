package recording

import (
	"errors"
	"os"
	"syscall"
)

// openFile opens a file that is written past the page cache, if its file system knows that: nobody reads a recording soon, and to copy it there
// costs a master more than all else that recording takes.
func openFile(path string, flags int) (file, error) {
	if f, err := os.OpenFile(path, flags|syscall.O_DIRECT, fileMode); err == nil {
		return &directFile{f, true}, nil
	} else if !errors.Is(err, syscall.EINVAL) {
		return nil, err
	} // which may have left the file behind
	return os.OpenFile(path, flags&^os.O_EXCL, fileMode)
}

type directFile struct {
	*os.File
	direct bool
}

// Write writes b past the page cache, until the file system does not want to.
func (f *directFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if !f.direct || !errors.Is(err, syscall.EINVAL) {
		return n, err
	}
	f.direct = false
	if err := f.buffered(); err != nil {
		return n, err
	}
	m, err := f.File.Write(b[n:])
	return n + m, err
}

// buffered has the file written through the page cache from now on.
func (f *directFile) buffered() error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFL, syscall.O_WRONLY)
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
