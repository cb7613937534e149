package supervisor

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
)

// A rotated is a file in the sandbox that never grows beyond its limit: when it is full it is renamed to NAME.1, what was that to NAME.2, and so
// on, up to how many are kept. The sandbox is the task's, who may put anything there at any moment: the names are looked up in the folder
// that was opened at first, no link is followed, and what is not the supervisor's own is left alone. Writing to it does not fail: what the disk
// does not take is counted, and said in the file once it takes more.
type rotated struct {
	dir   *os.File
	name  string
	user  *isolation.User // who owns the files; nil means the supervisor's user
	limit int64
	keep  int

	file  *os.File
	size  int64
	full  bool // nothing more goes into it
	whole bool // what was written last ended a line
	lost  int64
	why   error // of the first that was lost
}

// openRotated opens the file, which must be missing or one of its own.
func openRotated(dir *os.File, name string, user *isolation.User, limit int64, keep int) (*rotated, error) {
	f, err := openSandboxFile(filepath.Join(dir.Name(), name))
	if err != nil {
		return nil, err
	}
	r := &rotated{dir: dir, name: name, user: user, limit: limit, keep: keep, file: f}
	st, err := f.Stat()
	if err == nil {
		r.size = st.Size()
		err = giveTo(user, f)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return r, nil
}

// Write appends; it takes all of b.
func (r *rotated) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if r.full || r.size >= r.limit {
			if err := r.rotate(); err != nil {
				r.lose(len(b), err)
				break
			}
		}
		part := b[:r.fits(b)]
		r.put(part)
		b = b[len(part):]
	}
	return n, nil
}

// fits is how much of b goes into the file: whole lines, unless one alone is larger than a file. Where that leaves room, the file is full.
func (r *rotated) fits(b []byte) int {
	room := r.limit - r.size
	if int64(len(b)) <= room {
		return len(b)
	}
	if i := bytes.LastIndexByte(b[:room], '\n'); i >= 0 {
		r.full = int64(i+1) < room
		return i + 1
	}
	line := bytes.IndexByte(b, '\n') + 1
	if line == 0 {
		line = len(b)
	}
	if r.whole && r.size > 0 && int64(line) <= r.limit {
		r.full = true
		return 0
	}
	return int(room)
}

func (r *rotated) put(b []byte) {
	if r.lost > 0 {
		notice := fmt.Sprintf("\n[%d bytes of output are missing here: %v]\n", r.lost, r.why)
		if n, err := r.file.WriteString(notice); err != nil {
			r.size += int64(n)
			r.lose(len(b), err)
			return
		}
		r.size += int64(len(notice))
		r.lost, r.why = 0, nil
	}
	n, err := r.file.Write(b)
	r.size += int64(n)
	r.whole = n > 0 && b[n-1] == '\n' || n == 0 && r.whole
	if err != nil {
		r.lose(len(b)-n, err)
	}
}

func (r *rotated) lose(n int, err error) {
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	r.lost, r.why = r.lost+int64(n), cmp.Or(r.why, err)
}

// rotate makes room: in a new file, or, where the task has put something in its way, by emptying this one.
func (r *rotated) rotate() error {
	st, err := r.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() < r.size/2 { // the task has emptied it
		r.size, r.full = st.Size(), false
		return nil
	}
	if r.isOwn() {
		r.shift()
		if r.keep > 0 {
			err = r.rename(r.name, r.numbered(1))
		} else {
			err = unix.Unlinkat(r.at(), r.name, 0)
		}
	}
	var f *os.File
	if err == nil {
		f, err = r.create()
	}
	if err != nil {
		if err := r.file.Truncate(0); err != nil {
			return err
		}
		r.size, r.full = 0, false
		return nil
	}
	_ = r.file.Close()
	r.file, r.size, r.full = f, 0, false
	return nil
}

// isOwn reports whether the name still leads to the open file.
func (r *rotated) isOwn() bool {
	var named, open unix.Stat_t
	return unix.Fstatat(r.at(), r.name, &named, unix.AT_SYMLINK_NOFOLLOW) == nil && unix.Fstat(int(r.file.Fd()), &open) == nil &&
		named.Dev == open.Dev && named.Ino == open.Ino
}

// shift frees NAME.1. What is no regular file stays where it is, and costs the file that would take its place.
func (r *rotated) shift() {
	for i := r.keep; i >= 1; i-- {
		var st unix.Stat_t
		name := r.numbered(i)
		if unix.Fstatat(r.at(), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		if i == r.keep || r.rename(name, r.numbered(i+1)) != nil {
			_ = unix.Unlinkat(r.at(), name, 0)
		}
	}
}

// rename puts a file in the place of nothing or of a regular file.
func (r *rotated) rename(from, to string) error {
	var st unix.Stat_t
	if unix.Fstatat(r.at(), to, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		return unix.EEXIST
	}
	return unix.Renameat(r.at(), from, r.at(), to)
}

// create makes the file anew, where nothing is.
func (r *rotated) create() (*os.File, error) {
	fd, err := unix.Openat(r.at(), r.name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), r.name)
	if err := giveTo(r.user, f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func (r *rotated) at() int { return int(r.dir.Fd()) }

func (r *rotated) numbered(i int) string { return r.name + "." + strconv.Itoa(i) }

// close says what is still to be said.
func (r *rotated) close() {
	if r.lost > 0 {
		r.put(nil)
	}
	_ = r.file.Close()
}
