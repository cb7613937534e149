package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
)

// memoryFolder is the folder, right below where the system has a file system in memory, that holds those of slaves.
const memoryFolder = "meros"

// dir is where the files of a container are: in Config.Dir if it has any there, else in Config.Memory if there is such a folder.
func (r *Runner) dir(container string) string {
	name := folderName(container)
	onDisk := filepath.Join(r.cfg.Dir, name)
	if r.cfg.Memory == "" {
		return onDisk
	}
	if _, err := os.Lstat(onDisk); err == nil {
		return onDisk
	}
	return filepath.Join(r.cfg.Memory, name)
}

// makeDirs makes the folders that containers have theirs in.
func (r *Runner) makeDirs() error {
	for _, dir := range []string{r.cfg.Dir, r.cfg.Memory} {
		if dir == "" {
			continue
		}
		if !filepath.IsAbs(dir) || len(dir) > MaxDir {
			return fmt.Errorf("runtime dir %q: must be absolute and at most %d bytes", dir, MaxDir)
		}
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return fmt.Errorf("runtime dir: %w", err)
		}
	}
	return nil
}

// diskLink, in Config.Memory, leads to Config.Dir: where that is gone, nobody will ever ask for what is in memory.
const diskLink = ".disk"

// openMemory notes whose the folder in memory is, and removes those beside it whose owners are gone.
func (r *Runner) openMemory() error {
	if r.cfg.Memory == "" {
		return nil
	}
	link := filepath.Join(r.cfg.Memory, diskLink)
	if to, err := os.Readlink(link); err != nil || to != r.cfg.Dir {
		_ = os.Remove(link)
		if err := os.Symlink(r.cfg.Dir, link); err != nil {
			return fmt.Errorf("runtime dir: %w", err)
		}
	}
	links, _ := filepath.Glob(filepath.Join(filepath.Dir(r.cfg.Memory), "*", diskLink))
	for _, link := range links {
		to, err := os.Readlink(link)
		if err != nil || !filepath.IsAbs(to) {
			continue
		}
		if _, err = os.Lstat(to); errors.Is(err, fs.ErrNotExist) && !anyRuns(filepath.Dir(link)) {
			_ = os.RemoveAll(filepath.Dir(link))
		}
	}
	return nil
}

// anyRuns reports whether a container that has its files in a folder may still run.
func anyRuns(dir string) bool {
	found, err := listContainers(dir)
	for dir := range found {
		var first process.ID
		if err := readRecord(dir, processRecord, &first); err == nil && first.Alive() || errors.Is(err, errDamaged) {
			return true
		}
	}
	return err != nil
}

// closeMemory removes the folder in memory if there are no containers in it.
func (r *Runner) closeMemory() {
	if r.cfg.Memory == "" {
		return
	}
	if found, err := listContainers(r.cfg.Memory); err == nil && len(found) == 0 {
		_ = os.Remove(filepath.Join(r.cfg.Memory, diskLink))
		_ = os.Remove(r.cfg.Memory)
		_ = os.Remove(filepath.Dir(r.cfg.Memory)) // refused while others have theirs in it
	}
}

// listAll returns the folders of containers with what they were told to run.
func (r *Runner) listAll() (map[string]order, error) {
	found, err := listContainers(r.cfg.Dir)
	if err != nil || r.cfg.Memory == "" {
		return found, err
	}
	inMemory, err := listContainers(r.cfg.Memory)
	for dir, o := range inMemory {
		if found == nil {
			found = map[string]order{}
		}
		found[dir] = o
	}
	return found, err
}

// newDir is where the files of a container are to be that is started, perhaps again: in memory only if they are small and leave some room there. One
// that has files already keeps them where they are.
func (r *Runner) newDir(spec *isolation.Spec) string {
	dir := r.dir(spec.Container)
	if filepath.Dir(dir) != r.cfg.Memory || bulk(spec) <= mostInMemory && hasRoom(r.cfg.Memory) {
		return dir
	}
	if _, err := os.Lstat(dir); err == nil {
		return dir
	}
	return filepath.Join(r.cfg.Dir, filepath.Base(dir))
}

// mostInMemory bounds what the files of one container take in memory, in bytes: who runs large ones has them on the disk, as ever.
const mostInMemory = 64 << 10

// bulk is how many bytes there are of what may be large in a Spec.
func bulk(spec *isolation.Spec) int {
	n := len(spec.Data)
	for _, v := range spec.Environment {
		n += len(v.Name) + len(v.Value)
	}
	for _, v := range spec.Volumes {
		n += len(v.Secret)
	}
	if c := spec.Command; c != nil {
		n += len(c.Value)
		for _, a := range c.Arguments {
			n += len(a)
		}
		for _, v := range c.Environment {
			n += len(v.Name) + len(v.Value)
		}
		for _, u := range c.URIs {
			n += len(u.Value)
		}
	}
	return n
}
