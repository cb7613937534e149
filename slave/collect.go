package slave

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

const (
	collectEvery = time.Hour
	collectMost  = 1000 // sandboxes deleted in one pass
	collectLook  = 100_000
)

// collect deletes, now and then, the sandboxes that nobody has used for a long time, and volumes that were destroyed.
func (s *Slave) collect(ctx context.Context) {
	t := time.NewTicker(collectEvery)
	defer t.Stop()
	for {
		s.collectOnce(ctx, time.Now().Add(-s.cfg.SandboxAge))
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// collectOnce deletes what was last touched before a time, a bounded number of sandboxes.
func (s *Slave) collectOnce(ctx context.Context, before time.Time) (deleted int) {
	gone, _ := os.ReadDir(filepath.Join(s.folder.dir, "volumes", "deleted"))
	for _, e := range gone {
		if ctx.Err() != nil {
			return deleted
		}
		_ = os.RemoveAll(filepath.Join(s.folder.dir, "volumes", "deleted", e.Name()))
	}
	sandboxes, _ := filepath.Glob(filepath.Join(globEscape(filepath.Join(s.folder.dir, "slaves")), "*", "frameworks", "*", "*", "*"))
	used := s.live.all()
	for i, path := range sandboxes {
		if ctx.Err() != nil || deleted >= collectMost || i >= collectLook {
			break
		}
		if used[path] || !lastUse(path).Before(before) || s.live.inUse(path) { // asked again: it may have been started meanwhile
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			s.cfg.Logger.Warn("delete an old sandbox", "path", path, "err", err)
			continue
		}
		deleted++
		// The folders above go with the last sandbox in them.
		for dir := filepath.Dir(path); filepath.Base(dir) != "slaves" && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
		}
	}
	return deleted
}

// lastUse is when a sandbox, or the output in it, was last changed.
func lastUse(path string) time.Time {
	var last time.Time
	for _, p := range []string{path, filepath.Join(path, "stdout"), filepath.Join(path, "stderr")} {
		if st, err := os.Lstat(p); err == nil && st.ModTime().After(last) {
			last = st.ModTime()
		}
	}
	return last
}

func globEscape(path string) string {
	var out []byte
	for i := 0; i < len(path); i++ {
		switch path[i] {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, path[i])
	}
	return string(out)
}
