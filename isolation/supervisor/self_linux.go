package supervisor

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// self is the host program, also when its file has been replaced or deleted since it was started.
func self() (string, error) { return "/proc/self/exe", nil }

// sealedProgram is a path for this process and its children to execute a copy of the host program in memory, which nobody can write to any
// more: a task that finds a way to the file that its supervisor runs from gains nothing, and an upgrade of the program's file does not touch
// supervisors that run. The copy is made once for each process that starts supervisors. It takes as much memory as the program's file has
// bytes, for as long as that process or one of its supervisors lives.
var sealedProgram = sync.OnceValues(func() (string, error) {
	fd, err := seal()
	if err != nil {
		return "", fmt.Errorf("copy of the program in memory: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), nil
})

// aboveFiles is a descriptor's number that no file handed to a child is given on the way.
const aboveFiles = 64

func seal() (int, error) {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return 0, err
	}
	defer program.Close()
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("meros", flags|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3 all were executable
		fd, err = unix.MemfdCreate("meros", flags)
	}
	if err != nil {
		return 0, err
	}
	writable := os.NewFile(uintptr(fd), "copy")
	defer writable.Close()
	if _, err := io.Copy(writable, program); err != nil {
		return 0, err
	}
	if err := unix.Fchmod(fd, 0o555); err != nil {
		return 0, err
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE); err != nil {
		return 0, err
	}
	readable, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return 0, err
	}
	defer readable.Close()
	return unix.FcntlInt(readable.Fd(), unix.F_DUPFD_CLOEXEC, aboveFiles)
}

// guard keeps tasks of the supervisor's own user from its memory and descriptors, and names it, which would else be named by a descriptor.
// What it starts is guarded too until it executes its own program: before that only root can write to its files in /proc.
func guard(name string) {
	_ = os.WriteFile("/proc/self/comm", []byte(name), 0)
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

// memoryFile is a file with content that never had a name: making and removing one on a disk costs a start more than anything else does.
func memoryFile(name string, content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(content)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}
