package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/meros-project/meros/isolation/unpack"
)

// Main must be called early in main. It returns at once unless this process was started as a fetcher; then it ends the process with os.Exit.
// Package supervisor's Main calls it.
func Main() {
	if !InRole(roleName) {
		return
	}
	w := &worker{slave: NewParent(), answers: make(chan []byte)}
	if err := w.run(); err != nil {
		w.slave.Say(reply{Error: err.Error()})
		os.Exit(1)
	}
	w.slave.Say(reply{Done: true})
	os.Exit(0)
}

// A worker is a fetcher process.
type worker struct {
	slave   *Parent
	answers chan []byte
	job     job
	root    *os.Root
}

func (w *worker) run() (err error) {
	if err := w.slave.Job(&w.job); err != nil {
		return err
	}
	if w.job.Sandbox != "" {
		if w.root, err = os.OpenRoot(w.job.Sandbox); err != nil {
			return fmt.Errorf("sandbox: %w", cause(err))
		}
		defer w.root.Close()
	}
	if w.job.CAFile != "" {
		if w.job.authorities, err = os.ReadFile(w.job.CAFile); err != nil {
			return fmt.Errorf("the slave's file of certificates: %w", cause(err))
		}
	}
	if err := Confine(w.job.confinement()); err != nil {
		return fmt.Errorf("confine the fetcher: %w", err)
	}
	go w.slave.Listen(w.answers)
	ctx, cancel := context.WithTimeoutCause(context.Background(), w.job.Timeout, fmt.Errorf("not done in %v, the most that is allowed for one task", w.job.Timeout))
	defer cancel()
	for i := range w.job.Items {
		it := &w.job.Items[i]
		err := w.bring(ctx, it)
		if ctx.Err() != nil && err != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", show(it.URI), err)
		}
	}
	return nil
}

var errNoRoom = errors.New("the cache has no room for it")

// ask asks the slave for room in the cache.
func (w *worker) ask(total int64) error {
	w.slave.Say(reply{Room: total})
	granted := false
	if err := json.Unmarshal(<-w.answers, &granted); err != nil || !granted {
		return errNoRoom
	}
	return nil
}

func (w *worker) bring(ctx context.Context, it *item) error {
	switch {
	case w.root == nil:
		return w.intoCache(ctx, it)
	case it.Descriptor > 0:
		f := os.NewFile(uintptr(it.Descriptor), "cached")
		if f == nil {
			return errors.New("the cached file was not handed over")
		}
		defer f.Close()
		return w.place(ctx, it, f)
	case it.Extract && unpack.IsArchive(it.Name):
		f, err := w.temporary()
		if err != nil {
			return err
		}
		defer f.Close()
		err = w.job.download(ctx, it.URI, nil, func(r io.Reader) error {
			_, err := io.Copy(f, r)
			return cause(err)
		})
		if err == nil {
			_, err = f.Seek(0, io.SeekStart)
		}
		if err != nil {
			return err
		}
		return w.place(ctx, it, f)
	}
	return w.job.download(ctx, it.URI, nil, func(r io.Reader) error { return w.keep(ctx, it, r) })
}

func (w *worker) intoCache(ctx context.Context, it *item) error {
	f := os.NewFile(uintptr(it.Descriptor), "cache")
	if f == nil {
		return errors.New("the cache's file was not handed over")
	}
	defer f.Close()
	var room func(int64) error
	if w.job.AskRoom {
		room = w.ask
	}
	return w.job.download(ctx, it.URI, room, func(r io.Reader) error {
		_, err := io.Copy(f, r)
		return cause(err)
	})
}

// temporary is a file in the sandbox that has no name any more.
func (w *worker) temporary() (*os.File, error) {
	const name = ".meros-fetch"
	_ = w.root.Remove(name)
	f, err := w.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("sandbox: %w", cause(err))
	}
	if err := w.root.Remove(name); err != nil {
		return nil, fmt.Errorf("sandbox: %w", errors.Join(cause(err), f.Close()))
	}
	return f, nil
}

// place brings an open file to where it belongs.
func (w *worker) place(ctx context.Context, it *item, f *os.File) error {
	if it.Extract && unpack.IsArchive(it.Name) {
		return unpack.Archive(ctx, w.root, it.Name, f, w.job.unpacking())
	}
	return w.keep(ctx, it, f)
}

func (w *worker) keep(ctx context.Context, it *item, r io.Reader) error {
	mode := fs.FileMode(0o644)
	if it.Executable {
		mode = 0o755
	}
	o := w.job.unpacking()
	o.MaxBytes = w.job.MaxBytes
	return unpack.File(ctx, w.root, it.Name, mode, r, o)
}

// atMost lowers a limit.
func atMost(which int, most uint64) error {
	var now syscall.Rlimit
	if err := syscall.Getrlimit(which, &now); err != nil {
		return err
	}
	now.Max = min(now.Max, most)
	now.Cur = min(now.Cur, now.Max)
	return syscall.Setrlimit(which, &now)
}
