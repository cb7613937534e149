package unpack

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	maxDepth = 128  // folders above an entry
	maxName  = 4096 // bytes of a name, and of a link's target
)

// A tree is the folder that is written to.
type tree struct {
	*meter
	root *os.Root
	real map[string]bool // folders that are known to be none but folders
	dirs []dirMode       // set when all is written: a folder may be closed to its own owner
	buf  []byte
}

type dirMode struct {
	name string
	mode fs.FileMode
}

// An attributes is what is known of an entry beside its content.
type attributes struct {
	mode     fs.FileMode
	uid, gid int
	changed  time.Time
}

func newTree(m *meter, root *os.Root) *tree {
	return &tree{meter: m, root: root, real: map[string]bool{".": true}, buf: make([]byte, 64<<10)}
}

// clean checks a name and returns it in its simplest form; "." is the folder itself.
func clean(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("has no name")
	case len(name) > maxName:
		return "", fmt.Errorf("has a name of %d bytes (allowed: at most %d)", len(name), maxName)
	case strings.HasPrefix(name, "/"):
		return "", errors.New("has an absolute name")
	case strings.IndexByte(name, 0) >= 0:
		return "", errors.New("has a name with a zero byte")
	}
	depth := 0
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", errors.New(`has a name with ".."`)
		}
		depth++
	}
	if depth > maxDepth {
		return "", fmt.Errorf("lies %d folders deep (allowed: at most %d)", depth, maxDepth)
	}
	return path.Clean(name), nil
}

// begin counts an entry and checks its name; skip says that it is left out.
func (t *tree) begin(raw string) (name string, skip bool, err error) {
	if err := t.entry(); err != nil {
		return "", false, err
	}
	if name, err = clean(raw); err != nil {
		return "", false, err
	}
	if slices.Contains(t.o.Reserved, name) {
		return "", false, errors.New("has a name that is reserved")
	}
	if t.o.Entry != nil && name != "." {
		keep, err := t.o.Entry(name)
		return name, !keep, err
	}
	return name, false, nil
}

// parents makes the folders above name, each of them a folder and no link.
func (t *tree) parents(name string) error { return t.folder(path.Dir(name), true) }

func (t *tree) folder(dir string, create bool) error {
	if t.real[dir] {
		return nil
	}
	if err := t.folder(path.Dir(dir), create); err != nil {
		return err
	}
	st, err := t.root.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		if err := t.root.Mkdir(dir, 0o755); err != nil {
			return plain(err)
		}
	case err != nil:
		return plain(err)
	case !st.IsDir():
		return fmt.Errorf("lies below %s, which is no folder but %s", shown(dir), kind(st.Mode()))
	}
	t.real[dir] = true
	return nil
}

// clear makes way for an entry that is not a folder.
func (t *tree) clear(name string) error {
	if name == "." {
		return errors.New("takes the place of the folder itself")
	}
	if err := t.parents(name); err != nil {
		return err
	}
	st, err := t.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return plain(err)
	case st.IsDir():
		return errors.New("takes the place of a folder")
	}
	return plain(t.root.Remove(name))
}

// bits are the permissions that an entry gets.
func (t *tree) bits(mode fs.FileMode) fs.FileMode {
	keep := fs.ModePerm
	if t.o.Rootfs {
		keep |= fs.ModeSticky
		if t.o.Setuid {
			keep |= fs.ModeSetuid | fs.ModeSetgid
		}
		if mode &= keep; os.Geteuid() != 0 {
			mode |= 0o400 // who owns it all must be able to read it, to copy and to count
		}
		return mode
	}
	return mode&keep | 0o400
}

func (t *tree) dir(name string, a attributes) error {
	if name != "." {
		if err := t.folder(name, true); err != nil {
			return err
		}
	} else if !t.o.Rootfs {
		return nil
	}
	mode := t.bits(a.mode)
	if !t.o.Rootfs || os.Geteuid() != 0 {
		mode |= 0o700 // its owner can enter it, and delete it
	}
	t.dirs = append(t.dirs, dirMode{name, mode})
	return t.own(name, a)
}

func (t *tree) file(name string, a attributes, content io.Reader) error {
	if err := t.clear(name); err != nil {
		return err
	}
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return plain(err)
	}
	if _, err = io.CopyBuffer(unpacked{onlyWriter{f}, t.meter}, onlyReader{content}, t.buf); err == nil {
		err = t.own(name, a)
	}
	if err == nil {
		err = f.Chmod(t.bits(a.mode))
	}
	if err = errors.Join(err, f.Close()); err == nil && t.o.Rootfs && !a.changed.IsZero() {
		err = t.root.Chtimes(name, a.changed, a.changed)
	}
	if err != nil {
		_ = t.root.Remove(name)
	}
	return plain(err)
}

// Copies go through the meter and the buffer, whatever else the two sides could do.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

func (t *tree) symlink(name, target string, a attributes) error {
	if target == "" || len(target) > maxName || strings.IndexByte(target, 0) >= 0 {
		return errors.New("is a link to nothing that can be named")
	}
	if !t.o.Rootfs && !staysInside(name, target) {
		return fmt.Errorf("is a link that leads out, to %s", shown(target))
	}
	if err := t.clear(name); err != nil {
		return err
	}
	if err := t.root.Symlink(target, name); err != nil {
		return plain(err)
	}
	return t.own(name, a)
}

// staysInside reports whether a link leads to the inside however it is followed. Because every folder above an entry is a real one, what
// climbs at most to the top and then only goes down cannot leave, not even by way of other links, which do the same.
func staysInside(name, target string) bool {
	if strings.HasPrefix(target, "/") {
		return false
	}
	depth := strings.Count(name, "/")
	down := false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; down || depth < 0 {
				return false
			}
		default:
			down = true
		}
	}
	return true
}

func (t *tree) hardlink(name, target string) error {
	target, err := clean(target)
	if err != nil {
		return fmt.Errorf("is a link to what %w", err)
	}
	if err := t.folder(path.Dir(target), false); err != nil {
		return fmt.Errorf("is a link to %s, which %w", shown(target), err)
	}
	st, err := t.root.Lstat(target)
	if err != nil {
		return fmt.Errorf("is a link to %s: %w", shown(target), plain(err))
	}
	if !st.Mode().IsRegular() {
		// A second name of a link would be followed from another place than the one it was checked for.
		return fmt.Errorf("is a link to %s, which is %s", shown(target), kind(st.Mode()))
	}
	if name == target {
		return nil
	}
	if err := t.clear(name); err != nil {
		return err
	}
	return plain(t.root.Link(target, name))
}

// special is an entry that is neither file, folder nor link.
func (t *tree) special(mode fs.FileMode) error {
	if t.o.Rootfs {
		return nil
	}
	return fmt.Errorf("is %s (allowed: files, folders and links)", kind(mode))
}

func (t *tree) own(name string, a attributes) error {
	if !t.o.Rootfs || os.Geteuid() != 0 {
		return nil
	}
	return plain(t.root.Lchown(name, a.uid, a.gid))
}

// finish sets what could not be set while things were still being written.
func (t *tree) finish() error {
	slices.SortStableFunc(t.dirs, func(a, b dirMode) int { return strings.Count(b.name, "/") - strings.Count(a.name, "/") })
	for _, d := range t.dirs {
		if err := t.root.Chmod(d.name, d.mode); err != nil {
			return fmt.Errorf("%s: %w", shown(d.name), plain(err))
		}
	}
	return nil
}

// kind names what something is.
func kind(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a link"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m&fs.ModeNamedPipe != 0:
		return "a fifo"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m.IsDir():
		return "a folder"
	case m.IsRegular():
		return "a file"
	}
	return "something else"
}

// plain leaves out of an error the call and the path that it was about.
func plain(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	if l := (*os.LinkError)(nil); errors.As(err, &l) {
		return l.Err
	}
	return err
}

// shown is a stranger's name in a message.
func shown(name string) string {
	if len(name) > 100 {
		name = name[:100] + "..."
	}
	return fmt.Sprintf("%q", name)
}
