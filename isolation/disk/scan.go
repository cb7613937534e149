package disk

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxDepth  = 256     // folders, each of which is open while it is looked at
	maxLinked = 1 << 16 // files with several names that are told apart
	turnFiles = 512     // files of one turn
)

// Why a folder cannot be measured with bounded work.
var (
	errDeep = errors.New("folders are nested more than 256 deep")
	errMany = errors.New("too many files")
)

// A pace keeps looks from taking more than half a processor together: they go on by turns, and between two turns nobody looks for as long as
// the last ones have taken.
type pace struct {
	turn chan struct{}
	owed time.Duration // of whoever has the turn
}

// worth is the shortest pause for which a timer is not dearer than what it saves.
const worth = time.Millisecond

func newPace() *pace { return &pace{turn: make(chan struct{}, 1)} }

func (p *pace) take(ctx context.Context) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, ctx.Err()
	}
	select {
	case p.turn <- struct{}{}:
		return time.Now(), nil
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

func (p *pace) give(since time.Time) {
	p.owed += time.Since(since)
	if p.owed < worth {
		<-p.turn
		return
	}
	pause := p.owed
	p.owed = 0
	time.AfterFunc(pause, func() { <-p.turn })
}

type inode struct{ device, number uint64 }

// A scan adds up what a folder holds.
type scan struct {
	ctx    context.Context
	pace   *pace
	since  time.Time // when this turn began
	seen   int       // of this turn
	max    int
	device uint64
	files  int
	bytes  uint64
	linked map[inode]bool
}

// measure adds up what is below a folder, without the folder itself, in bytes and files. With an error, what it returns is what was found so far.
func measure(ctx context.Context, p *pace, dir string, most int) (bytes uint64, files int, err error) {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	f := os.NewFile(uintptr(root), dir)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return 0, 0, err
	}
	s := &scan{ctx: ctx, pace: p, max: most, device: uint64(st.Dev), linked: map[inode]bool{}}
	if s.since, err = p.take(ctx); err != nil {
		return 0, 0, err
	}
	err = s.folder(f, 1)
	if s.seen >= 0 {
		p.give(s.since)
	}
	return s.bytes, s.files, err
}

// step ends the turn if it was long enough, and takes the next.
func (s *scan) step() error {
	if s.seen++; s.seen < turnFiles {
		return nil
	}
	s.pace.give(s.since)
	var err error
	s.seen = -1 // no turn is held
	if s.since, err = s.pace.take(s.ctx); err == nil {
		s.seen = 0
	}
	return err
}

// folder looks at what is in an open folder. What vanishes meanwhile, or may not be read, is left out.
func (s *scan) folder(f *os.File, depth int) error {
	for {
		names, err := f.Readdirnames(turnFiles)
		for _, name := range names {
			if err := s.entry(f, name, depth); err != nil {
				return err
			}
		}
		if err != nil || len(names) == 0 {
			if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
				return err
			}
			return nil // io.EOF, or the folder is gone
		}
	}
}

func (s *scan) entry(f *os.File, name string, depth int) error {
	if err := s.step(); err != nil {
		return err
	}
	var st unix.Stat_t
	if unix.Fstatat(int(f.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || uint64(st.Dev) != s.device {
		return nil
	}
	if s.files++; s.files > s.max {
		return errMany
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		s.count(&st)
		return nil
	}
	fd, err := openBelow(int(f.Fd()), name, s.device)
	switch {
	case errors.Is(err, unix.EXDEV):
		s.files--
		return nil
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return err
	}
	s.bytes += uint64(st.Blocks) * 512
	if err != nil {
		return nil
	}
	below := os.NewFile(uintptr(fd), name)
	defer below.Close()
	if depth >= maxDepth {
		if names, err := below.Readdirnames(1); len(names) == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		return errDeep
	}
	return s.folder(below, depth+1)
}

// count counts a file with several names once. When there are more of them than can be remembered, each name counts for its share.
func (s *scan) count(st *unix.Stat_t) {
	size := uint64(st.Blocks) * 512
	if st.Nlink > 1 {
		id := inode{uint64(st.Dev), st.Ino}
		if s.linked[id] {
			return
		}
		if len(s.linked) >= maxLinked {
			s.bytes += size / uint64(st.Nlink)
			return
		}
		s.linked[id] = true
	}
	s.bytes += size
}
