package slave

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/meros-project/meros/internal/slavecore"
)

const maxKeptBuffer = 1 << 20 // larger ones are not kept for the next write

// A journal is the slave's memory on disk. Checkpoints that wait for it are written together and share one flush. After a write or
// a flush has failed it is done for: what the disk then holds is not known.
type journal struct {
	path    string
	file    journalFile
	size    int64 // of the file
	base    int64 // size after it was last rewritten
	open    func(path string) (journalFile, error)
	answer  func(token uint64, err error) // of this checkpoint and all before it; called on the journal's goroutine
	flushes uint64
	buf     []byte // kept from write to write, as is records
	records []slavecore.Record

	renewed uint64 // how often it was rewritten
	cut     int    // bytes of a torn tail that were found and left out

	mu     sync.Mutex
	queue  []journalItem
	closed bool
	wake   chan struct{}
	done   chan struct{}
}

type journalFile interface {
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

// A journalItem is a checkpoint, or what the whole journal is to be replaced by.
type journalItem struct {
	token   uint64
	records []slavecore.Record
	replace bool
}

// openJournal reads the journal, or makes one, and cuts a torn tail off.
func openJournal(path string) (*journal, []slavecore.Record, error) {
	j := &journal{path: path, wake: make(chan struct{}, 1), done: make(chan struct{}), open: createFile}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return j, nil, j.rewrite(nil)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("slave: journal: %w", err)
	}
	records, length, err := readJournal(b)
	if err != nil {
		return nil, nil, fmt.Errorf("slave: journal %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("slave: journal: %w", err)
	}
	if length < len(b) {
		if err := errors.Join(f.Truncate(int64(length)), f.Sync()); err != nil {
			return nil, nil, fmt.Errorf("slave: journal: cut a torn tail: %w", errors.Join(err, f.Close()))
		}
	}
	j.file, j.size, j.base, j.cut = f, int64(length), int64(length), len(b)-length
	return j, records, nil
}

func createFile(path string) (journalFile, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
}

// enqueue queues checkpoints, in order.
func (j *journal) enqueue(items ...journalItem) {
	j.mu.Lock()
	j.queue = append(j.queue, items...)
	j.mu.Unlock()
	j.poke()
}

// replace queues a new content, which stands for everything that was queued before.
func (j *journal) replace(records []slavecore.Record) {
	j.enqueue(journalItem{records: records, replace: true})
}

func (j *journal) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// length returns how large the file is, how large it was when it was last rewritten, and how often it was.
func (j *journal) length() (size, base int64, renewed uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size, j.base, j.renewed
}

// run writes until close; what is queued then is still written.
func (j *journal) run() {
	defer close(j.done)
	var failure error
	var taken []journalItem
	for {
		j.mu.Lock()
		items, closed := j.queue, j.closed
		j.queue, taken = taken[:0], items
		j.mu.Unlock()
		for len(items) > 0 {
			items, failure = j.some(items, failure)
		}
		clear(taken)
		if closed {
			return
		}
		<-j.wake
	}
}

// some writes checkpoints up to the next rewrite, or one rewrite, and answers them.
func (j *journal) some(items []journalItem, failure error) ([]journalItem, error) {
	if items[0].replace {
		if failure == nil {
			failure = j.rewrite(items[0].records)
		}
		return items[1:], failure
	}
	n, records := 0, j.records[:0]
	for n < len(items) && !items[n].replace {
		records = append(records, items[n].records...)
		n++
	}
	if failure == nil {
		failure = j.write(records)
	}
	clear(records)
	j.records = records[:0]
	j.answer(items[n-1].token, failure)
	return items[n:], failure
}

func (j *journal) write(records []slavecore.Record) error {
	buf := j.buf
	size := j.size
	for len(records) > 0 {
		b, n, err := appendBlock(buf[:0], size, records)
		if err != nil {
			return fmt.Errorf("slave: journal: %w", err)
		}
		if _, err := j.file.Write(b); err != nil {
			return fmt.Errorf("slave: journal: %w", err)
		}
		// Each block is on disk before the next is written, so that only the last can be torn.
		if err := j.file.Sync(); err != nil {
			return fmt.Errorf("slave: journal: flush: %w", err)
		}
		buf, records, size = b, records[n:], size+int64(len(b))
	}
	if j.buf = buf; cap(buf) > maxKeptBuffer {
		j.buf = nil
	}
	j.mu.Lock()
	j.size = size
	j.flushes++
	j.mu.Unlock()
	return nil
}

// rewrite makes a new file with records and puts it in the place of the old one.
func (j *journal) rewrite(records []slavecore.Record) error {
	temp := j.path + ".new"
	f, err := j.open(temp)
	if err != nil {
		return fmt.Errorf("slave: journal: %w", err)
	}
	size := int64(len(journalMagic))
	_, err = f.Write([]byte(journalMagic))
	for len(records) > 0 && err == nil {
		var b []byte
		var n int
		if b, n, err = appendBlock(nil, size, records); err == nil {
			_, err = f.Write(b)
			records, size = records[n:], size+int64(len(b))
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(temp, j.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(j.path))
	}
	if err != nil {
		return fmt.Errorf("slave: journal: rewrite: %w", errors.Join(err, f.Close()))
	}
	if j.file != nil {
		_ = j.file.Close() // nothing of it counts any more
	}
	j.mu.Lock()
	j.file, j.size, j.base = f, size, size
	j.renewed++
	j.mu.Unlock()
	return nil
}

// close writes what is queued, ends the goroutine if run was called, and closes the file.
func (j *journal) close(running bool) error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	if running {
		j.poke()
		<-j.done
	}
	return j.file.Close()
}
