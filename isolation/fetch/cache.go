package fetch

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/meros-project/meros/isolation"
)

// A key is what a download is shared by: a user gets nothing that another was allowed to read.
type key struct {
	uid int // below zero for the slave's own user
	uri string
}

func keyOf(u *isolation.User, uri string) key {
	if u == nil {
		return key{-1, uri}
	}
	return key{u.UID, uri}
}

// A cache is files by key. Its folder belongs to the slave; fetchers get open files.
type cache struct {
	dir string
	max int64

	mu      sync.Mutex
	entries map[key]*entry
	idle    list.List // of entries that nobody uses, the longest unused first
	total   int64     // bytes of all entries, and that downloads have room for
	made    uint64
}

// An entry is a file of the cache, or one that is on its way. Under the cache's lock, but for done.
type entry struct {
	key    key
	path   string
	size   int64 // or how much room it has
	refs   int
	done   chan struct{} // closed when err is known
	err    error
	cancel context.CancelFunc
	place  *list.Element // in idle
}

func newCache(dir string, max int64) *cache {
	return &cache{dir: dir, max: max, entries: map[key]*entry{}}
}

// empty throws away what an earlier run has left. Nothing of this run is there yet.
func (c *cache) empty() error {
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("empty the cache: %w", err)
	}
	return nil
}

// get returns the entry of a key, which stays until release, and downloads it if nobody has. When ctx ends it goes on for the others who
// wait for the same, if there are any.
func (c *cache) get(ctx context.Context, k key, download func(ctx context.Context, f *os.File, room func(int64) bool) error) (*entry, error) {
	c.mu.Lock()
	e := c.entries[k]
	if e == nil {
		e = &entry{key: k, done: make(chan struct{})}
		c.made++
		e.path = filepath.Join(c.dir, strconv.FormatUint(c.made, 10))
		c.entries[k] = e
		var own context.Context
		own, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go c.fill(own, e, download)
	}
	e.refs++
	if e.place != nil {
		c.idle.Remove(e.place)
		e.place = nil
	}
	c.mu.Unlock()
	select {
	case <-e.done:
	case <-ctx.Done():
		c.release(e)
		return nil, ctx.Err()
	}
	if e.err != nil {
		c.release(e)
		return nil, e.err
	}
	return e, nil
}

// fill downloads an entry.
func (c *cache) fill(ctx context.Context, e *entry, download func(context.Context, *os.File, func(int64) bool) error) {
	defer e.cancel()
	err := func() error {
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			return fmt.Errorf("cache: %w", cause(err))
		}
		f, err := os.OpenFile(e.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("cache: %w", cause(err))
		}
		if ctx.Err() != nil { // given up before there was a file to delete
			return errors.Join(ctx.Err(), f.Close(), os.Remove(e.path))
		}
		err = download(ctx, f, func(total int64) bool { return c.room(e, total) })
		st, serr := f.Stat()
		if err = errors.Join(err, serr, f.Close()); err != nil {
			return err
		}
		if !c.room(e, st.Size()) {
			return errNoRoom
		}
		return c.settle(e, st.Size())
	}()
	c.mu.Lock()
	if e.err = err; err != nil {
		c.drop(e)
	}
	c.mu.Unlock()
	close(e.done)
}

// settle gives back the room that was not needed.
func (c *cache) settle(e *entry, size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[e.key] != e {
		return context.Canceled
	}
	c.total -= e.size - size
	e.size = size
	return nil
}

// room makes sure that an entry may have so many bytes in all, by throwing out what nobody uses.
func (c *cache) room(e *entry, total int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	more := total - e.size
	switch {
	case c.entries[e.key] != e:
		return false // nobody waits for it any more
	case more <= 0:
		return true
	case more > c.max-c.used():
		return false // not even if everything idle were thrown out
	}
	for c.total+more > c.max {
		c.drop(c.idle.Front().Value.(*entry))
	}
	c.total += more
	e.size = total
	return true
}

// used is how many bytes cannot be had by throwing out.
func (c *cache) used() int64 {
	n := c.total
	for el := c.idle.Front(); el != nil; el = el.Next() {
		n -= el.Value.(*entry).size
	}
	return n
}

// drop forgets an entry and deletes its file; who has it open can read on. The lock is held.
func (c *cache) drop(e *entry) {
	if c.entries[e.key] == e {
		delete(c.entries, e.key)
		c.total -= e.size
		_ = os.Remove(e.path)
	}
	if e.place != nil {
		c.idle.Remove(e.place)
		e.place = nil
	}
}

// release says that an entry is not used any more. The last one to give up a download ends it, and waits for its end.
func (c *cache) release(e *entry) {
	c.mu.Lock()
	e.refs--
	last := e.refs == 0
	running := true
	select {
	case <-e.done:
		running = false
	default:
	}
	switch {
	case last && running:
		c.drop(e) // whoever comes from now on begins anew
		e.cancel()
	case last && e.err == nil && c.entries[e.key] == e:
		e.place = c.idle.PushBack(e)
	}
	c.mu.Unlock()
	if last && running {
		<-e.done
	}
}

// open opens an entry's file for reading. One that somebody else has damaged or deleted is forgotten.
func (c *cache) open(e *entry) (*os.File, error) {
	f, err := os.Open(e.path)
	if err == nil {
		var st os.FileInfo
		if st, err = f.Stat(); err == nil && st.Size() == e.size {
			return f, nil
		}
		_ = f.Close()
		err = errors.Join(err, errors.New("the cached file has changed"))
	}
	c.mu.Lock()
	c.drop(e)
	c.mu.Unlock()
	return nil, err
}
