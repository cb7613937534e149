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
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// sandboxes is the first isolator of every chain: it makes the container's folder, with its persistent volumes in it.
type sandboxes struct {
	s *Slave
	// mounts says that volumes are mounted by another isolator; else they are links in the sandbox.
	mounts bool
}

func (*sandboxes) Name() string { return "sandbox" }

func (x *sandboxes) Prepare(_ context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
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
		if err := x.show(spec, plan, &r); err != nil {
			return err
		}
	}
	x.s.executors.show(spec, plan)
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

// show makes a volume appear where the container wants it.
func (x *sandboxes) show(spec *isolation.Spec, plan *isolation.Plan, r *resource.Resource) error {
	v := r.Volume
	field := fmt.Sprintf("resources: volume %.80q", v.ID)
	refuse := func(reason offer.Reason, why string) error {
		return offer.Refuse(reason, fmt.Sprintf("%s: containerPath %.80q: %s", field, v.ContainerPath, why))
	}
	source, err := x.s.volume(r)
	local := filepath.IsLocal(v.ContainerPath) && v.ContainerPath != "."
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", field, err)
	case filepath.Clean(v.ContainerPath) != v.ContainerPath || !local && !filepath.IsAbs(v.ContainerPath):
		return refuse(offer.ReasonInvalidField, "is not plain (allowed: an absolute path, or one in the sandbox, without '.' and '..')")
	case x.mounts:
		plan.Mounts = append(plan.Mounts, isolation.Mount{Field: field, Target: v.ContainerPath, Source: source, ReadOnly: v.ReadOnly})
		return nil
	case !local:
		return refuse(offer.ReasonUnsupported, "is absolute (allowed on this slave, which mounts no volumes: a relative path inside the sandbox)")
	case v.ReadOnly:
		return refuse(offer.ReasonUnsupported, "is to be read-only, which no isolator of this slave enforces")
	}
	if err := x.link(spec, v.ContainerPath, source); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// link makes a volume appear in the sandbox.
func (*sandboxes) link(spec *isolation.Spec, path, source string) error {
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
