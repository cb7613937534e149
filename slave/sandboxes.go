package slave

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer/resource"
)

// sandboxes is the first isolator of every chain: it makes the container's folder, with its persistent volumes in it.
type sandboxes struct{ s *Slave }

func (*sandboxes) Name() string { return "sandbox" }

func (x *sandboxes) Prepare(_ context.Context, spec *isolation.Spec, _ *isolation.Plan) error {
	// The collector may remove the folders above, where they have just become empty.
	err := error(fs.ErrNotExist)
	for try := 0; try < 5 && errors.Is(err, fs.ErrNotExist); try++ {
		err = x.make(spec)
	}
	if err != nil {
		return err
	}
	for _, r := range spec.Resources {
		if r.Volume == nil || r.Volume.ContainerPath == "" {
			continue
		}
		if err := x.link(spec, &r); err != nil {
			return fmt.Errorf("volume %q: %w", r.Volume.ID, err)
		}
	}
	return nil
}

// make makes the folder anew.
func (x *sandboxes) make(spec *isolation.Spec) error {
	// Tasks of other users pass through the folders above their sandbox, but cannot list them.
	if err := makeDirs(filepath.Dir(spec.Sandbox)); err != nil {
		return err
	}
	if err := x.putAside(spec); err != nil {
		return err
	}
	return os.Mkdir(spec.Sandbox, 0o700)
}

// putAside moves the sandbox of an earlier run under the same id away.
func (x *sandboxes) putAside(spec *isolation.Spec) error {
	if _, err := os.Lstat(spec.Sandbox); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if os.Remove(spec.Sandbox) == nil {
		return nil // it was empty
	}
	old := filepath.Join(filepath.Dir(filepath.Dir(spec.Sandbox)), "old")
	if err := makeDirs(old); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(spec.Container + time.Now().String()))
	return os.Rename(spec.Sandbox, filepath.Join(old, hex.EncodeToString(sum[:16])))
}

// link makes a volume appear in the sandbox.
func (x *sandboxes) link(spec *isolation.Spec, r *resource.Resource) error {
	path := r.Volume.ContainerPath
	if !filepath.IsLocal(path) || path == "." {
		return fmt.Errorf("container path %q (allowed: a relative path inside the sandbox)", path)
	}
	source, err := x.s.volume(r)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(spec.Sandbox)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return root.Symlink(source, path)
}

func (*sandboxes) Attach(context.Context, string, int) error { return nil }

func (*sandboxes) Cleanup(context.Context, string) error { return nil }

// volume is where a persistent volume's data are.
func (s *Slave) volume(r *resource.Resource) (string, error) {
	id := r.Volume.ID
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/\\\x00") {
		return "", fmt.Errorf("id %q is not a file name", id)
	}
	role := url.PathEscape(r.Role())
	if role == "." || role == ".." {
		return "", fmt.Errorf("role %q is not a file name", r.Role())
	}
	return filepath.Join(s.folder.dir, "volumes", "roles", role, id), nil
}

// makeVolumes makes and deletes the folders of persistent volumes.
func (s *Slave) makeVolumes(create, destroy resource.Resources) {
	for _, r := range create {
		if r.Volume == nil {
			continue
		}
		dir, err := s.volume(&r)
		if err == nil {
			err = makeDirs(filepath.Dir(dir))
		}
		if err == nil {
			// Who may use a volume is decided by its reservation; the tasks of one role can have different users.
			if err = os.Mkdir(dir, 0o777); err == nil {
				err = os.Chmod(dir, 0o777)
			}
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			s.cfg.Logger.Error("make a volume", "volume", r.Volume.ID, "err", err)
		}
	}
	for _, r := range destroy {
		if r.Volume == nil {
			continue
		}
		dir, err := s.volume(&r)
		if err != nil {
			continue
		}
		// Moved away at once, so that a volume made anew under the same id is empty; deleted by the collector.
		gone := filepath.Join(s.deletedVolumes(), fmt.Sprint(time.Now().UnixNano()))
		if err = os.MkdirAll(filepath.Dir(gone), 0o700); err == nil {
			err = os.Rename(dir, gone)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.cfg.Logger.Error("delete a volume", "volume", r.Volume.ID, "err", err)
		}
	}
	if len(destroy) > 0 {
		select {
		case s.collector.destroyed <- struct{}{}:
		default:
		}
	}
}
