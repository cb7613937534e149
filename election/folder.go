package election

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Errors of OpenFolder. The errors that carry them name both values.
var (
	// ErrFolderInUse says that another process, or another elector of this one, holds the data folder.
	ErrFolderInUse = errors.New("election: data folder is in use")
	// ErrFolderForeign says that the data folder belongs to another cluster, another node or another kind of elector.
	ErrFolderForeign = errors.New("election: data folder is not this node's")
)

const (
	lockFile     = "LOCK"
	identityFile = "identity"
	maxIdentity  = 4096
)

// An Identity is what a data folder says about whom it belongs to.
type Identity struct {
	// Elector is the kind of elector that wrote the folder: "standalone", "raft".
	Elector string `json:"elector"`
	// Cluster is the cluster's name. Empty in OpenFolder's argument accepts any.
	Cluster string `json:"cluster"`
	// Node is the master's id. Empty in OpenFolder's argument accepts any, and makes one up at first start.
	Node string `json:"node"`
	// Created is when the folder was first opened.
	Created time.Time `json:"created"`
}

// A Folder is a data folder held by this process. The hold ends with Close or with the process.
type Folder struct {
	// Dir is the absolute path of the folder.
	Dir string
	// Identity is what the folder's identity file says.
	Identity Identity
	// Fresh tells that the folder had no identity before.
	Fresh bool

	lock *os.File
}

// OpenFolder takes the data folder dir for this process, creating it (mode 0700) where it is missing, and checks that it is the one
// that want describes; a new folder is given want as its identity. A folder in use is refused with ErrFolderInUse, one of another
// cluster, node or kind of elector with ErrFolderForeign.
func OpenFolder(dir string, want Identity) (*Folder, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("election: data folder %q: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("election: create data folder: %w", err)
	}
	lock, err := lockFolder(abs)
	if err != nil {
		return nil, err
	}
	f := &Folder{Dir: abs, lock: lock}
	if err := f.identify(want); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Close lets another process take the folder.
func (f *Folder) Close() error {
	if f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockFile)
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("election: open lock of data folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder := "unknown"
		var b [32]byte
		if n, _ := lock.ReadAt(b[:], 0); n > 0 {
			holder = strings.TrimSpace(string(b[:n]))
		}
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is held by process %s, this is process %d", ErrFolderInUse, path, holder, os.Getpid())
		}
		return nil, fmt.Errorf("election: lock %s: %w", path, err)
	}
	pid := fmt.Appendf(nil, "%d\n", os.Getpid())
	if err := errors.Join(lock.Truncate(0), writeAt(lock, pid)); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("election: write lock of data folder: %w", err)
	}
	return lock, nil
}

func writeAt(f *os.File, b []byte) error {
	_, err := f.WriteAt(b, 0)
	return err
}

func (f *Folder) identify(want Identity) error {
	path := filepath.Join(f.Dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if want.Node == "" {
			want.Node = newNodeID()
		}
		want.Created = time.Now().UTC().Truncate(time.Second)
		f.Identity, f.Fresh = want, true
		if b, err = json.MarshalIndent(want, "", "  "); err != nil {
			return fmt.Errorf("election: write identity of data folder: %w", err)
		}
		return WriteFileDurably(path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("election: read identity of data folder: %w", err)
	}
	if len(b) > maxIdentity {
		return fmt.Errorf("election: identity %s has %d bytes, at most %d are allowed", path, len(b), maxIdentity)
	}
	if err := json.Unmarshal(b, &f.Identity); err != nil {
		return fmt.Errorf("election: identity %s: %w", path, err)
	}
	for _, c := range []struct{ what, has, want string }{
		{"elector", f.Identity.Elector, want.Elector},
		{"cluster", f.Identity.Cluster, want.Cluster},
		{"node", f.Identity.Node, want.Node},
	} {
		if c.want != "" && c.has != c.want {
			return fmt.Errorf("%w: %s is of %s %q, this is %s %q", ErrFolderForeign, f.Dir, c.what, c.has, c.what, c.want)
		}
	}
	return nil
}

func newNodeID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return "m-" + hex.EncodeToString(b[:])
}

// WriteFileDurably replaces the file at path by data: after a crash at any moment the file has either the old content or the new,
// and after it returned nil the new.
func WriteFileDurably(path string, data []byte) error {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("election: write %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("election: write %s: %w", path, err)
	}
	return nil
}

// syncDir makes a rename or a new name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
