package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/meros-project/meros/isolation/process"
)

// A kernel is how cgroups are made, removed and written to. Tests have one that only looks like it.
type kernel interface {
	mkdir(path string) error
	rmdir(path string) error
	write(path, value string) error
}

type realKernel struct{}

func (realKernel) mkdir(path string) error { return os.Mkdir(path, 0o755) }

func (realKernel) rmdir(path string) error {
	err := syscall.Rmdir(path)
	if err != nil {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}

func (k realKernel) write(path, value string) error { return k.writeAll(path, value) }

// writeAll writes values to one file, one after the other. An os.File would cost each start several times as much as what is done with it.
func (realKernel) writeAll(path string, values ...string) error {
	fd, err := process.OpenFile(path, syscall.O_WRONLY)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	for _, value := range values {
		_, err := syscall.Write(fd, []byte(value))
		for err == syscall.EINTR {
			_, err = syscall.Write(fd, []byte(value))
		}
		if err != nil {
			return fmt.Errorf("%q: %w", value, &fs.PathError{Op: "write", Path: path, Err: err})
		}
	}
	return nil
}

// writeAll writes values to one file in their order.
func writeAll(k kernel, path string, values ...string) error {
	if real, is := k.(realKernel); is {
		return real.writeAll(path, values...)
	}
	for _, value := range values {
		if err := k.write(path, value); err != nil {
			return err
		}
	}
	return nil
}

// readNumber reads a file with one number; "max" is the highest there is.
func readNumber(path string) (uint64, error) {
	b, err := process.ReadFile(path)
	if err != nil {
		return 0, err
	}
	s := strings.TrimSpace(string(b))
	if s == "max" || s == "-1" {
		return unlimited, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number", path, s)
	}
	return n, nil
}

// readTable reads a file whose lines are a name and a number.
func readTable(path string) (map[string]uint64, error) {
	b, err := process.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			out[name] = n
		}
	}
	return out, nil
}

// readProcesses returns the processes in a cgroup and in those below it. One that is gone has none.
func readProcesses(dir string) ([]int, error) {
	b, err := process.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []int
	for _, s := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(s); err == nil {
			list = append(list, pid)
		}
	}
	for _, sub := range subdirectories(dir) {
		more, err := readProcesses(sub)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// subdirectories are the cgroups right below one: only a task that runs as root can have made any. The number of links tells at once that
// there are none.
func subdirectories(dir string) []string {
	st, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Nlink == 2 {
		return nil
	}
	entries, _ := os.ReadDir(dir)
	var subs []string
	for _, e := range entries {
		if e.IsDir() {
			subs = append(subs, filepath.Join(dir, e.Name()))
		}
	}
	return subs
}
