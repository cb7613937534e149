package election

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// A snapshot file is: 8 bytes of magic, the index (u64, big endian), the state, and the CRC-32C of all that (u32, big endian).
const (
	snapshotMagic  = "MEROSSN1"
	snapshotHeader = len(snapshotMagic) + 8
	snapshotFooter = 4
)

var errSnapshotCancelled = errors.New("election: snapshot was cancelled")

// errNotDurable marks a failed fsync: what reached the disk is unknown from then on, and trying again would only hide it.
var errNotDurable = errors.New("election: the disk did not confirm a write")

type cancelWriter struct {
	w         io.Writer
	cancelled <-chan struct{}
}

func (c cancelWriter) Write(p []byte) (int, error) {
	select {
	case <-c.cancelled:
		return 0, errSnapshotCancelled
	default:
		return c.w.Write(p)
	}
}

func writeSnapshot(path string, index uint64, snap Snapshot, cancelled <-chan struct{}) (err error) {
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("election: create snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(tmp)
			err = fmt.Errorf("election: write snapshot %s: %w", path, err)
		}
	}()
	sum := crc32.New(castagnoli())
	buffered := bufio.NewWriterSize(cancelWriter{f, cancelled}, 1<<16)
	w := io.MultiWriter(buffered, sum)
	if _, err = w.Write(binary.BigEndian.AppendUint64([]byte(snapshotMagic), index)); err != nil {
		return err
	}
	if _, err = snap.WriteTo(w); err != nil {
		return err
	}
	if _, err = buffered.Write(binary.BigEndian.AppendUint32(nil, sum.Sum32())); err != nil {
		return err
	}
	if err = buffered.Flush(); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return errors.Join(errNotDurable, err)
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp, path); err != nil {
		return err
	}
	if err = syncDir(filepath.Dir(path)); err != nil {
		return errors.Join(errNotDurable, err)
	}
	return nil
}

// restoreSnapshot checks the snapshot's checksum before the state machine sees a byte of it. A missing file is the empty state.
func restoreSnapshot(path string, sm StateMachine) (index uint64, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("election: open snapshot: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("election: open snapshot: %w", err)
	}
	body := info.Size() - int64(snapshotHeader+snapshotFooter)
	if body < 0 {
		return 0, fmt.Errorf("election: snapshot %s is cut short: it has %d bytes", path, info.Size())
	}
	sum := crc32.New(castagnoli())
	if _, err := io.Copy(sum, io.NewSectionReader(f, 0, info.Size()-snapshotFooter)); err != nil {
		return 0, fmt.Errorf("election: read snapshot %s: %w", path, err)
	}
	var head [snapshotHeader]byte
	var foot [snapshotFooter]byte
	_, e1 := f.ReadAt(head[:], 0)
	_, e2 := f.ReadAt(foot[:], info.Size()-snapshotFooter)
	if err := errors.Join(e1, e2); err != nil {
		return 0, fmt.Errorf("election: read snapshot %s: %w", path, err)
	}
	if string(head[:len(snapshotMagic)]) != snapshotMagic {
		return 0, fmt.Errorf("election: %s is not a snapshot: it opens with %q, not %q", path, head[:len(snapshotMagic)], snapshotMagic)
	}
	if has := binary.BigEndian.Uint32(foot[:]); has != sum.Sum32() {
		return 0, fmt.Errorf("election: snapshot %s is damaged: its checksum is %08x, its content's %08x", path, has, sum.Sum32())
	}
	index = binary.BigEndian.Uint64(head[len(snapshotMagic):])
	if err := sm.Restore(bufio.NewReaderSize(io.NewSectionReader(f, int64(snapshotHeader), body), 1<<16)); err != nil {
		return 0, fmt.Errorf("election: restore snapshot %s of entry %d: %w", path, index, err)
	}
	return index, nil
}
