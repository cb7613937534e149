package recording

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// flushEvery is how long an event may wait for others to be written with it.
const flushEvery = time.Second

// write is the goroutine that writes what is queued.
func (r *Recorder) write() {
	defer close(r.done)
	d := &disk{cfg: r.cfg}
	defer d.close()
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for stopping := false; !stopping; {
		flush := false
		select {
		case <-r.wake:
		case <-ticker.C:
			flush = true
		case <-r.stop:
			stopping = true
		}
		for {
			p, ok := r.next(flush)
			if !ok {
				break
			}
			if err := d.put(p); err != nil {
				r.failed(err)
				d.close()
			}
			r.written(p)
		}
		if err := d.flush(); err != nil {
			r.failed(err)
			d.close()
		}
	}
}

// next takes a piece off the queue; with flush also the block at hand, so that it does not wait for more.
func (r *Recorder) next(flush bool) (piece, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.queue) == 0 {
		if flush && !r.held {
			return r.cutOff()
		}
		return piece{}, false
	}
	p := r.queue[0]
	r.queue[0] = piece{}
	if r.queue = r.queue[1:]; len(r.queue) == 0 {
		r.queue = nil
	}
	return p, true
}

func (r *Recorder) written(p piece) {
	if p.block == nil {
		return
	}
	r.waiting.Add(-int64(len(p.block)))
	if cap(p.block) <= 2*blockSize {
		select {
		case r.free <- p.block:
		default:
		}
	}
}

// failed has the recording cut because the disk did not take it.
func (r *Recorder) failed(err error) {
	r.mu.Lock()
	r.broken = err.Error()
	r.mu.Unlock()
}

// disk is the file at hand. What is not a block of events gathers in a buffer until flush, so that all writes are whole sectors.
type disk struct {
	cfg    Config
	file   file
	buffer []byte
}

// put writes one piece. Without a file, because one could not be written, pieces go nowhere until the next one begins.
func (d *disk) put(p piece) error {
	switch {
	case p.header != nil:
		d.close()
		f, err := d.cfg.open(filepath.Join(d.cfg.Dir, name(p.header)))
		if err != nil {
			return err
		}
		d.file = f
		if err := writeBeginning(d, *p.header, p.image); err != nil {
			return err
		}
		d.prune()
	case d.file == nil:
	case p.block != nil:
		if err := d.flush(); err != nil {
			return err
		}
		b := pad(p.block)
		if !isAligned(b) { // it has outgrown its memory
			if _, err := d.Write(b); err != nil {
				return err
			}
			return d.flush()
		}
		_, err := d.file.Write(b)
		return err
	default:
		if err := writeBlock(d, append([]byte{blockEnd}, p.end...)); err != nil {
			return err
		}
		if err := d.flush(); err != nil {
			return err
		}
		d.close()
	}
	return nil
}

const bufferSize = 1 << 20

// Write adds to the buffer and writes it when it is full.
func (d *disk) Write(b []byte) (int, error) {
	if d.buffer == nil {
		d.buffer = aligned(bufferSize + padding)
	}
	for rest := b; ; {
		n := min(len(rest), bufferSize-len(d.buffer))
		d.buffer, rest = append(d.buffer, rest[:n]...), rest[n:]
		if len(d.buffer) < bufferSize {
			return len(b), nil
		}
		if _, err := d.file.Write(d.buffer); err != nil {
			return 0, err
		}
		d.buffer = d.buffer[:0]
	}
}

// flush writes what is in the buffer.
func (d *disk) flush() error {
	if d.file == nil || len(d.buffer) == 0 {
		return nil
	}
	_, err := d.file.Write(pad(d.buffer))
	d.buffer = d.buffer[:0]
	return err
}

func (d *disk) close() {
	if d.file != nil {
		if err := d.file.Close(); err != nil {
			d.cfg.Logger.Warn("a recording could not be closed", "err", err)
		}
	}
	d.file, d.buffer = nil, nil
}

const suffix = ".rec"

// name orders files by age.
func name(h *Header) string {
	return fmt.Sprintf("%s-reign-%d-%06d%s", h.At.UTC().Format("20060102T150405.000000000Z"), h.Reign, h.File, suffix)
}

// Files lists the recordings in a folder, oldest first.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, suffix) && strings.Contains(n, "Z-reign-") {
			out = append(out, filepath.Join(dir, n))
		}
	}
	return out, nil
}

// prune removes the oldest files beyond the bound. One that cannot be removed is tried again with the next file.
func (d *disk) prune() {
	files, err := Files(d.cfg.Dir)
	for len(files) > d.cfg.MaxFiles && err == nil {
		err = os.Remove(files[0])
		files = files[1:]
	}
	if err != nil {
		d.cfg.Logger.Warn("old recordings could not be removed", "err", err)
	}
}
