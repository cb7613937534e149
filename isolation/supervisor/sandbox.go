package supervisor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openSandbox opens the folder itself, and not what a link in its place leads to.
func openSandbox(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
}

// openSandboxFile opens a file to append to. What somebody who writes to the sandbox has put in its place is refused: a link of either
// kind, which could lead anywhere, or a fifo or a device, which could make the supervisor wait.
func openSandboxFile(path string) (*os.File, error) {
	name := filepath.Base(path)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		if st, missing := os.Lstat(path); missing == nil && !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%s in the sandbox is a %s (allowed: a file of its own, or none)", name, kindOf(st.Mode()))
		}
		return nil, err
	}
	if err := checkOutput(f, name); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func checkOutput(f *os.File, name string) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s in the sandbox is a %s (allowed: a file of its own, or none)", name, kindOf(st.Mode()))
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Nlink > 1 {
		return fmt.Errorf("%s in the sandbox is a file with %d names (allowed: a file of its own, or none)", name, sys.Nlink)
	}
	return syscall.SetNonblock(int(f.Fd()), false) // as the task expects
}

func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "link"
	case m&fs.ModeNamedPipe != 0:
		return "fifo"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	case m.IsDir():
		return "folder"
	}
	return m.String()
}
