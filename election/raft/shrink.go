package raft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"
	boltstore "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

const (
	shrinkAbove = 1 << 20 // bytes of a file that is worth it
	shrinkRatio = 4       // of the file to what is used of it
	shrinkBatch = 1 << 20 // bytes of a transaction
)

// A shrinkingStore is the log's file, which is written anew when most of it is not used any more: bbolt fills the pages that entries have
// left with others, and never gives one back. It looks when entries were removed, after a snapshot, and when it is opened. What it holds is
// copied to a second file, which takes the place of the first when it is on the disk. While that is done, and it takes as long as to write
// the entries behind a snapshot, others wait.
type shrinkingStore struct {
	path string
	mu   sync.RWMutex // held to use bolt, and alone to replace it
	bolt *boltstore.BoltStore
}

func boltOptions() *bbolt.Options {
	return &bbolt.Options{Timeout: time.Second, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}
}

func openBolt(path string) (logStore, error) {
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a crash
		return nil, err
	}
	s := &shrinkingStore{path: path}
	if err := s.open(); err != nil {
		return nil, err
	}
	if err := s.shrink(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *shrinkingStore) open() (err error) {
	s.bolt, err = boltstore.New(boltstore.Options{Path: s.path, BoltOptions: boltOptions()})
	return err
}

// shrink writes the file anew if that is worth it. Its error means that the store cannot be used any more; a copy that cannot be made, on a full
// disk say, is none: the file stays as it is.
func (s *shrinkingStore) shrink() error {
	info, err := os.Stat(s.path)
	if err != nil || info.Size() < shrinkAbove {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	pages, pageSize, err := written(s.path)
	if err != nil {
		return err
	}
	stats := s.bolt.Stats()
	if used := (pages - int64(stats.FreePageN+stats.PendingPageN)) * pageSize; used*shrinkRatio > info.Size() {
		return nil
	}
	if err := s.bolt.Close(); err != nil {
		return err
	}
	smaller := s.path + ".new"
	if copyBolt(smaller, s.path) == nil {
		err = os.Rename(smaller, s.path)
		if err == nil {
			err = syncFolder(filepath.Dir(s.path))
		}
	} else if err = os.Remove(smaller); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return fmt.Errorf("raft: shrink the log: %w", err)
	}
	return s.open()
}

// written tells how many pages of a bbolt file were ever written; the file is longer, since it grows ahead. The first two pages hold that,
// in turns: a header of 16 bytes, then magic, version, page size and flags (u32 each), two numbers of the root, one of the list of free pages,
// the number of pages and that of the transaction (u64 each), in the machine's byte order.
func written(path string) (pages, pageSize int64, err error) {
	const magic = 0xED0CDAED
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	var latest uint64
	meta := make([]byte, 16+16+5*8)
	for _, at := range []int64{0, int64(os.Getpagesize())} {
		if _, err := f.ReadAt(meta, at); err != nil {
			return 0, 0, err
		}
		order, body := binary.NativeEndian, meta[16:]
		if order.Uint32(body) == magic && order.Uint64(body[48:]) >= latest {
			latest, pages, pageSize = order.Uint64(body[48:]), int64(order.Uint64(body[40:])), int64(order.Uint32(body[8:]))
		}
	}
	if pageSize == 0 {
		return 0, 0, fmt.Errorf("raft: %s is no log of bbolt's", path)
	}
	return pages, pageSize, nil
}

func copyBolt(to, from string) (err error) {
	source, err := bbolt.Open(from, 0o600, &bbolt.Options{Timeout: time.Second, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	options := boltOptions()
	options.NoSync = true // until it is whole
	target, err := bbolt.Open(to, 0o600, options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if err := bbolt.Compact(target, source, shrinkBatch); err != nil {
		return err
	}
	return target.Sync()
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *shrinkingStore) use(f func(*boltstore.BoltStore) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return f(s.bolt)
}

func (s *shrinkingStore) number(f func(*boltstore.BoltStore) (uint64, error)) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return f(s.bolt)
}

// DeleteRange implements hraft.LogStore.
func (s *shrinkingStore) DeleteRange(first, last uint64) error {
	if err := s.use(func(b *boltstore.BoltStore) error { return b.DeleteRange(first, last) }); err != nil {
		return err
	}
	return s.shrink()
}

// FirstIndex implements hraft.LogStore, as those below.
func (s *shrinkingStore) FirstIndex() (uint64, error) {
	return s.number((*boltstore.BoltStore).FirstIndex)
}

func (s *shrinkingStore) LastIndex() (uint64, error) {
	return s.number((*boltstore.BoltStore).LastIndex)
}

func (s *shrinkingStore) GetLog(index uint64, l *hraft.Log) error {
	return s.use(func(b *boltstore.BoltStore) error { return b.GetLog(index, l) })
}

func (s *shrinkingStore) StoreLog(l *hraft.Log) error {
	return s.use(func(b *boltstore.BoltStore) error { return b.StoreLog(l) })
}

func (s *shrinkingStore) StoreLogs(l []*hraft.Log) error {
	return s.use(func(b *boltstore.BoltStore) error { return b.StoreLogs(l) })
}

// Set implements hraft.StableStore, as those below.
func (s *shrinkingStore) Set(k, v []byte) error {
	return s.use(func(b *boltstore.BoltStore) error { return b.Set(k, v) })
}

func (s *shrinkingStore) Get(k []byte) (v []byte, err error) {
	err = s.use(func(b *boltstore.BoltStore) error { v, err = b.Get(k); return err })
	return v, err
}

func (s *shrinkingStore) SetUint64(k []byte, v uint64) error {
	return s.use(func(b *boltstore.BoltStore) error { return b.SetUint64(k, v) })
}

func (s *shrinkingStore) GetUint64(k []byte) (uint64, error) {
	return s.number(func(b *boltstore.BoltStore) (uint64, error) { return b.GetUint64(k) })
}

// Close closes the file.
func (s *shrinkingStore) Close() error { return s.use((*boltstore.BoltStore).Close) }
