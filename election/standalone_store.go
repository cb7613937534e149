package election

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A standaloneStore keeps the log of a standalone elector. Its methods are called from one goroutine at a time.
type standaloneStore interface {
	// load restores the snapshot of entry base, if there is one, and replays the entries after it up to last.
	load(sm StateMachine) (base, last uint64, err error)
	// append makes entries durable, the first at index. All of them or none.
	append(index uint64, entries [][]byte) error
	// snapshot makes snap, taken after index was applied, durable. Unlike the others it may be called beside append.
	snapshot(index uint64, snap Snapshot, cancelled <-chan struct{}) error
	// compact drops the entries up to index, which a snapshot covers.
	compact(index uint64) error
	close() error
}

// A memoryStore forgets: the state machine is the only copy.
type memoryStore struct{}

func (memoryStore) load(StateMachine) (base, last uint64, err error) { return 0, 0, nil }
func (memoryStore) append(uint64, [][]byte) error                    { return nil }
func (memoryStore) snapshot(uint64, Snapshot, <-chan struct{}) error { return nil }
func (memoryStore) compact(uint64) error                             { return nil }
func (memoryStore) close() error                                     { return nil }

const (
	standaloneFile = "standalone.db"
	snapshotFile   = "standalone.snapshot"
)

var (
	entriesBucket = []byte("entries")
	metaBucket    = []byte("meta")
	lastKey       = []byte("last")
)

// castagnoli is made when it is first used: a program that embeds a slave is started once more for each task.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// A boltStore keeps entries in a bbolt file, each with a checksum, and the snapshot in a file of its own: bbolt has one writer, and
// appends must not wait for a snapshot.
type boltStore struct {
	folder *Folder
	db     *bolt.DB
}

func openBoltStore(folder *Folder) (*boltStore, error) {
	path := filepath.Join(folder.Dir, standaloneFile)
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, fmt.Errorf("election: open %s: %w", path, err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, e1 := tx.CreateBucketIfNotExists(entriesBucket)
		_, e2 := tx.CreateBucketIfNotExists(metaBucket)
		return errors.Join(e1, e2)
	})
	if err == nil {
		err = syncDir(folder.Dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("election: open %s: %w", path, err), db.Close())
	}
	return &boltStore{folder: folder, db: db}, nil
}

func (s *boltStore) close() error { return errors.Join(s.db.Close(), s.folder.Close()) }

func (s *boltStore) load(sm StateMachine) (base, last uint64, err error) {
	base, err = restoreSnapshot(s.snapshotPath(), sm)
	if err != nil {
		return 0, 0, err
	}
	last = base
	err = s.db.View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(metaBucket).Get(lastKey); len(b) == 8 {
			if logged := binary.BigEndian.Uint64(b); logged < base {
				return fmt.Errorf("election: %s ends at entry %d but its snapshot holds entry %d: the file was replaced by an older copy",
					s.db.Path(), logged, base)
			}
		}
		c := tx.Bucket(entriesBucket).Cursor()
		for k, v := c.Seek(binary.BigEndian.AppendUint64(nil, base+1)); k != nil; k, v = c.Next() {
			if err := replayEntry(sm, last+1, k, v); err != nil {
				return fmt.Errorf("election: %s: %w", s.db.Path(), err)
			}
			last++
		}
		if b := tx.Bucket(metaBucket).Get(lastKey); len(b) == 8 && binary.BigEndian.Uint64(b) > last {
			return fmt.Errorf("election: %s: entries %d to %d are missing", s.db.Path(), last+1, binary.BigEndian.Uint64(b))
		}
		return nil
	})
	return base, last, err
}

func replayEntry(sm StateMachine, want uint64, k, v []byte) error {
	if len(k) != 8 || binary.BigEndian.Uint64(k) != want {
		return fmt.Errorf("entry %d is missing, the next one found is %x", want, k)
	}
	if len(v) < 4 || crc32.Checksum(v[4:], castagnoli()) != binary.BigEndian.Uint32(v) {
		return fmt.Errorf("entry %d is damaged: its checksum does not match", want)
	}
	// The state machine may change the bytes it is given, and the mapped file is read-only.
	if _, err := sm.Apply(want, append([]byte(nil), v[4:]...)); err != nil {
		return fmt.Errorf("apply entry %d: %w", want, err)
	}
	return nil
}

func (s *boltStore) append(index uint64, entries [][]byte) error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket(entriesBucket)
		b.FillPercent = 0.95 // keys only ever grow
		for _, e := range entries {
			v := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(e)), crc32.Checksum(e, castagnoli()))
			if err := b.Put(binary.BigEndian.AppendUint64(nil, index), append(v, e...)); err != nil {
				return err
			}
			index++
		}
		return tx.Bucket(metaBucket).Put(lastKey, binary.BigEndian.AppendUint64(nil, index-1))
	})
	if err != nil {
		return fmt.Errorf("election: append to %s: %w", s.db.Path(), err)
	}
	return nil
}

func (s *boltStore) snapshotPath() string { return filepath.Join(s.folder.Dir, snapshotFile) }

func (s *boltStore) snapshot(index uint64, snap Snapshot, cancelled <-chan struct{}) error {
	return writeSnapshot(s.snapshotPath(), index, snap, cancelled)
}

// compactBatch bounds how long one compaction transaction holds up appends.
const compactBatch = 4096

func (s *boltStore) compact(index uint64) error {
	for more := true; more; {
		err := s.db.Update(func(tx *bolt.Tx) error {
			more = false
			c := tx.Bucket(entriesBucket).Cursor()
			n := 0
			for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k) <= index; k, _ = c.First() {
				if n++; n > compactBatch {
					more = true
					return nil
				}
				if err := c.Delete(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("election: compact %s: %w", s.db.Path(), err)
		}
	}
	return nil
}

// removeStale deletes what a crash in the middle of a snapshot left behind.
func (s *boltStore) removeStale() { _ = os.Remove(s.snapshotPath() + ".tmp") }
