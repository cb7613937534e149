package recording

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// file is what a recording is written to.
type file interface {
	io.Writer
	io.Closer
}

// create makes a new file that only its owner can read: commands and environments of tasks are in it.
func create(path string) (file, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

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

// disk is the file at hand.
type disk struct {
	cfg  Config
	file file
	w    *bufio.Writer
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
		d.file, d.w = f, bufio.NewWriterSize(f, 256<<10)
		if err := writeBeginning(d.w, *p.header, p.image); err != nil {
			return err
		}
		d.prune()
	case d.file == nil:
	case p.block != nil:
		if err := d.w.Flush(); err != nil {
			return err
		}
		_, err := d.file.Write(p.block)
		return err
	default:
		if err := writeBlock(d.w, append([]byte{blockEnd}, p.end...)); err != nil {
			return err
		}
		if err := d.w.Flush(); err != nil {
			return err
		}
		d.close()
	}
	return nil
}

func (d *disk) flush() error {
	if d.file == nil {
		return nil
	}
	return d.w.Flush()
}

func (d *disk) close() {
	if d.file != nil {
		if err := d.file.Close(); err != nil {
			d.cfg.Logger.Warn("a recording could not be closed", "err", err)
		}
		d.file, d.w = nil, nil
	}
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
