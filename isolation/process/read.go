package process

import (
	"io/fs"
	"syscall"
)

// OpenFile opens one of the kernel's own files, such as those in /proc and of cgroups, with these flags of open, and returns its descriptor, which
// the caller closes. An os.File would cost as much as what most of them are opened for. The error is an *fs.PathError.
func OpenFile(path string, flags int) (int, error) {
	for {
		fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC, 0)
		if err == nil {
			return fd, nil
		}
		if err != syscall.EINTR {
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// ReadFile reads one of the kernel's own files. The error is an *fs.PathError.
func ReadFile(path string) ([]byte, error) {
	fd, err := OpenFile(path, syscall.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var b []byte
	var part [4096]byte
	for {
		n, err := syscall.Read(fd, part[:])
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		case n == 0:
			return b, nil
		default:
			b = append(b, part[:n]...)
		}
	}
}
