package election

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrSaved is wrapped by what OpenSaved and KeepSaved refuse: a file that is damaged, cut short, no saved state, or of a later format.
var ErrSaved = errors.New("election: not a saved state that can be used")

// A saved state is: 8 bytes of magic, the last of which is the format, a u32 length and that many bytes of JSON (Saved), what
// Snapshot.WriteTo gave, and the SHA-256 of all that.
const (
	savedMagic   = "MEROSAV"
	savedFormat  = '1'
	maxSavedHead = 4096
)

// Saved says what a saved state is of. It is the same whichever elector kept the log, so that a state may move from one to another.
type Saved struct {
	Cluster   string    `json:"cluster"`    // the cluster's name
	ClusterID string    `json:"cluster_id"` // its identity, which slaves and frameworks remember
	Reign     uint64    `json:"reign"`      // in which it was saved
	Index     uint64    `json:"index"`      // of the last entry that it covers
	Taken     time.Time `json:"taken"`
}

// WriteSaved writes snap, and what it is of, to w. It needs no more memory than snap itself.
func WriteSaved(w io.Writer, about Saved, snap Snapshot) error {
	head, err := json.Marshal(about)
	if err != nil {
		return fmt.Errorf("election: save: %w", err)
	}
	if len(head) > maxSavedHead {
		return fmt.Errorf("election: save: the heading has %d bytes, at most %d are allowed", len(head), maxSavedHead)
	}
	sum := sha256.New()
	buffered := bufio.NewWriterSize(w, 1<<16)
	both := io.MultiWriter(buffered, sum)
	opening := binary.BigEndian.AppendUint32(append([]byte(savedMagic), savedFormat), uint32(len(head)))
	if _, err = both.Write(append(opening, head...)); err == nil {
		_, err = snap.WriteTo(both)
	}
	if err == nil {
		_, err = buffered.Write(sum.Sum(nil))
	}
	if err == nil {
		err = buffered.Flush()
	}
	if err != nil {
		return fmt.Errorf("election: save: %w", err)
	}
	return nil
}

// A SavedFile is an open file whose checksum has been found to be right. It must be closed.
type SavedFile struct {
	Saved
	file        *os.File
	from, bytes int64
}

// OpenSaved opens a file that WriteSaved wrote and reads all of it once, to see that it is whole. What it refuses wraps ErrSaved.
func OpenSaved(path string) (*SavedFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("election: open saved state: %w", err)
	}
	s := &SavedFile{file: f}
	if err := s.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s %w", ErrSaved, path, err), f.Close())
	}
	return s, nil
}

func (s *SavedFile) check() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("is no file")
	}
	opening := make([]byte, len(savedMagic)+5)
	if n, err := s.file.ReadAt(opening, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if !bytes.HasPrefix(opening, []byte(savedMagic)) {
		return fmt.Errorf("opens with %q, a saved state with %q", opening[:min(n, len(savedMagic))], savedMagic)
	}
	if f := opening[len(savedMagic)]; f != savedFormat {
		return fmt.Errorf("has format %q, this program knows %q: use the program that wrote it, or a later one", f, savedFormat)
	}
	heading := int64(binary.BigEndian.Uint32(opening[len(savedMagic)+1:]))
	s.from = int64(len(opening)) + heading
	if s.bytes = info.Size() - s.from - sha256.Size; heading > maxSavedHead || s.bytes < 0 {
		return fmt.Errorf("is cut short or damaged: it has %d bytes", info.Size())
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(s.file, 0, s.from+s.bytes)); err != nil {
		return err
	}
	wrote := make([]byte, sha256.Size)
	if _, err := s.file.ReadAt(wrote, s.from+s.bytes); err != nil {
		return err
	}
	if is := sum.Sum(nil); !bytes.Equal(is, wrote) {
		return fmt.Errorf("is cut short or damaged: its checksum is %.8x, its content's %.8x", wrote, is)
	}
	head := make([]byte, heading)
	if _, err := s.file.ReadAt(head, int64(len(opening))); err != nil {
		return err
	}
	if err := json.Unmarshal(head, &s.Saved); err != nil {
		return fmt.Errorf("has a heading that cannot be read: %w", err)
	}
	if s.Cluster == "" || s.Index == 0 {
		return errors.New("does not say what it is of")
	}
	return nil
}

// State reads what the state machine wrote, from its beginning: it is what StateMachine.Restore takes.
func (s *SavedFile) State() io.Reader { return io.NewSectionReader(s.file, s.from, s.bytes) }

// Close closes the file.
func (s *SavedFile) Close() error { return s.file.Close() }

// KeepSaved writes what r gives, which WriteSaved wrote elsewhere, to a new file at path. Once it returned nil the file is whole and survives
// a power cut; before, or after an error, there is none. A file that is there already is never replaced.
func KeepSaved(path string, r io.Reader) (about Saved, err error) {
	if _, err := os.Lstat(path); err == nil {
		return about, fmt.Errorf("election: save: %s is there already", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return about, fmt.Errorf("election: save: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // for its owner's eyes alone
	if err != nil {
		return about, fmt.Errorf("election: save: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return about, fmt.Errorf("election: save %s: %w", path, err)
	}
	whole, err := OpenSaved(f.Name())
	if err != nil {
		return about, err
	}
	about = whole.Saved
	if err = whole.Close(); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return about, fmt.Errorf("election: save %s: %w", path, err)
	}
	return about, nil
}
