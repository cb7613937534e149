package slave

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation/disk"
)

// A collector deletes the sandboxes that nobody has used for a long time, and volumes that were destroyed. It looks at all of WorkDir, so
// that it goes on with what earlier runs, slaves and frameworks have left.
type collector struct {
	now   func() time.Time
	usage func(dir string) (float64, error) // the share of the disk that is used

	recovered chan struct{} // closed when it is known which sandboxes of an earlier run are in use
	destroyed chan struct{} // gets something when a volume was destroyed
	listed    time.Time     // when all sandboxes were looked at
	oldest    time.Time     // the last use of the one that was used the longest time ago, then
}

func (c *collector) init() {
	c.now, c.usage = time.Now, diskUsage
	c.recovered, c.destroyed = make(chan struct{}), make(chan struct{}, 1)
}

// diskUsage is the share of a disk that is used, of what anybody but the system may use.
func diskUsage(dir string) (float64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	used := float64(st.Blocks) - float64(st.Bfree)
	if all := used + float64(st.Bavail); all > 0 {
		return used / all, nil
	}
	return 0, nil
}

// collect works until ctx ends.
func (s *Slave) collect(ctx context.Context) {
	select {
	case <-s.collector.recovered:
	case <-ctx.Done():
		return
	}
	t := time.NewTicker(s.cfg.CollectEvery)
	defer t.Stop()
	for {
		s.emptyDeleted(ctx)
		s.collectOnce(ctx)
		s.collectImages()
		select {
		case <-t.C:
		case <-s.collector.destroyed:
		case <-ctx.Done():
			return
		}
	}
}

// Where things go that are deleted, which may take a while: they are moved there in one step. Other users cannot look into these folders.
func (s *Slave) deletedSandboxes() string { return filepath.Join(s.folder.dir, "slaves", ".deleted") }
func (s *Slave) deletedVolumes() string   { return filepath.Join(s.folder.dir, "volumes", "deleted") }

// emptyDeleted deletes what was moved away, in this run or an earlier one.
func (s *Slave) emptyDeleted(ctx context.Context) {
	for _, dir := range []string{s.deletedVolumes(), s.deletedSandboxes()} {
		if err := disk.Empty(ctx, dir); err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("what was deleted cannot be removed from the disk, which is tried again", "err", err)
		}
	}
}

// sandboxAge is how long unused sandboxes are kept while so much of the disk is used: SandboxAge times what is free beyond the headroom, as in
// Mesos.
func (c Config) sandboxAge(usage float64) time.Duration {
	return time.Duration(float64(c.SandboxAge) * max(0, 1-max(0, c.DiskHeadroom)-usage))
}

// age is how long sandboxes are kept as it stands.
func (s *Slave) age() time.Duration {
	usage, err := s.collector.usage(s.folder.dir)
	if err != nil {
		s.cfg.Logger.Warn("it is not known how full the disk is", "err", err)
	}
	return s.cfg.sandboxAge(usage)
}

// An unused sandbox is nobody's, and may be deleted.
type unused struct {
	path string
	last time.Time
}

// collectOnce deletes the sandboxes that are too old, those that were used the longest time ago first, until the rest may stay: what is
// deleted makes the disk less full.
func (s *Slave) collectOnce(ctx context.Context) (deleted int) {
	c := &s.collector
	now, age := c.now(), s.age()
	// What was in use at the last look was used later than that, unless the clock was set back.
	if !c.listed.IsZero() && !now.Before(c.listed) && now.Sub(c.oldest) < age && now.Sub(c.listed) < age {
		return 0
	}
	var due []unused
	c.listed, c.oldest = now, now
	s.eachUnused(ctx, func(u unused) {
		if now.Sub(u.last) > age {
			due = append(due, u)
		} else if u.last.Before(c.oldest) {
			c.oldest = u.last
		}
	})
	slices.SortFunc(due, func(a, b unused) int { return cmp.Or(a.last.Compare(b.last), strings.Compare(a.path, b.path)) })
	for _, u := range due {
		if ctx.Err() != nil || now.Sub(u.last) <= s.age() {
			c.oldest = minTime(c.oldest, u.last)
			break
		}
		gone, err := s.deleteSandbox(ctx, u.path)
		if err != nil && ctx.Err() == nil {
			c.oldest = minTime(c.oldest, u.last)
			s.cfg.Logger.Warn("delete an old sandbox", "path", u.path, "err", err)
		}
		if gone {
			deleted++
		}
	}
	return deleted
}

func minTime(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// collectImages throws out images that no container has used for as long as sandboxes are kept.
func (s *Slave) collectImages() {
	if s.images == nil {
		return
	}
	if err := s.images.Collect(s.age()); err != nil {
		s.cfg.Logger.Warn("throw out unused images", "err", err)
	}
}

// eachUnused calls f for each sandbox in WorkDir that is not in use.
func (s *Slave) eachUnused(ctx context.Context, f func(unused)) {
	used := s.live.inUse()
	var below func(dir string, level int)
	below = func(dir string, level int) { // slaves/SLAVE/frameworks/FRAMEWORK/tasks/TASK
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			switch {
			case ctx.Err() != nil:
				return
			case !e.IsDir() || level == 0 && e.Name() == filepath.Base(s.deletedSandboxes()) || level == 1 && e.Name() != "frameworks":
			case level < 4:
				below(path, level+1)
			case !used[path]:
				f(unused{path, lastUse(path, s.collector.now())})
			}
		}
	}
	below(filepath.Join(s.folder.dir, "slaves"), 0)
}

// deleteSandbox deletes one, unless it is used again.
func (s *Slave) deleteSandbox(ctx context.Context, path string) (bool, error) {
	trash := s.deletedSandboxes()
	if err := os.MkdirAll(trash, 0o700); err != nil {
		return false, err
	}
	moved, err := s.live.unlessInUse(path, func() error {
		return os.Rename(path, filepath.Join(trash, fmt.Sprint(time.Now().UnixNano())))
	})
	if !moved || err != nil {
		return false, err
	}
	// The folders above go with the last sandbox in them.
	for dir := filepath.Dir(path); dir != filepath.Dir(trash) && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
	}
	return true, disk.Empty(ctx, trash)
}

// lastUse is when a sandbox, or the output in it, was last changed. The end of a container is a change of its sandbox. What a task writes
// to, it can also date: output of the future says nothing.
func lastUse(path string, now time.Time) time.Time {
	var last time.Time
	for _, file := range []string{"", "stdout", "stderr"} {
		st, err := os.Lstat(filepath.Join(path, file))
		if err != nil {
			continue
		}
		if at := st.ModTime(); at.After(last) && (file == "" || !at.After(now)) {
			last = at
		}
	}
	return last
}

// markUse notes in a sandbox that it was used until now.
func (s *Slave) markUse(path string) {
	err := unix.UtimesNanoAt(unix.AT_FDCWD, path, nil, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		s.cfg.Logger.Warn("note the end of a container in its sandbox", "path", path, "err", err)
	}
}
