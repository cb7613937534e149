package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/meros-project/meros/isolation/fetch"
	"github.com/meros-project/meros/isolation/unpack"
)

// Main must be called early in main. It returns at once unless this process was started as a puller; then it ends the process with os.Exit.
// slave.Supervise calls it.
func Main() {
	if !fetch.InRole(roleName) {
		return
	}
	w := &worker{slave: fetch.NewParent(), orders: make(chan []byte)}
	defer w.close()
	if err := w.run(); err != nil {
		w.slave.Say(answer{Error: err.Error()})
		os.Exit(1)
	}
	os.Exit(0)
}

// A worker is a puller process.
type worker struct {
	slave   *fetch.Parent
	orders  chan []byte
	job     job
	plan    *plan
	closers []func()
}

func (w *worker) close() {
	for _, c := range w.closers {
		c()
	}
}

func (w *worker) run() error {
	if err := w.slave.Job(&w.job); err != nil {
		return err
	}
	c := w.job.Config
	confinement := fetch.Confinement{Owners: true, Read: c.Folders, Write: w.job.Dir, FileBytes: c.MaxImage, CPU: c.Timeout}
	if c.CAFile != "" {
		confinement.ReadFiles = []string{c.CAFile}
	}
	if err := fetch.Confine(confinement); err != nil {
		return fmt.Errorf("confine the puller: %w", err)
	}
	go w.slave.Listen(w.orders)
	ctx := context.Background()
	if err := w.find(ctx); err != nil {
		return err
	}
	img := &stored{Digest: w.plan.digest, Config: w.plan.config}
	for _, l := range w.plan.layers {
		img.Layers = append(img.Layers, l.diffID)
	}
	w.slave.Say(answer{Image: img})
	for line := range w.orders {
		var o order
		if err := json.Unmarshal(line, &o); err != nil || o.Layer < 0 || o.Layer >= len(w.plan.layers) {
			return errors.New("the slave talks nonsense")
		}
		info, err := w.unpack(ctx, o)
		if err != nil {
			return err
		}
		w.slave.Say(answer{Layer: info})
	}
	return nil
}

// find opens where the image comes from, and finds out what it is made of.
func (w *worker) find(ctx context.Context) error {
	c := w.job.Config
	ref, err := parse(c, w.job.Reference)
	if err != nil {
		return err
	}
	if ref.folder == "" {
		src, err := c.pull(ref)
		if err == nil {
			w.plan, err = c.plan(ctx, src)
		}
		return err
	}
	if !ref.archive {
		root, err := ref.root()
		if err != nil {
			return err
		}
		w.closers = append(w.closers, func() { _ = root.Close() })
		w.plan, err = c.planFolder(ctx, root, ref.tag)
		return err
	}
	f, err := ref.open()
	if err != nil {
		return err
	}
	defer f.Close()
	dir := filepath.Join(w.job.Dir, "archive")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, func() { _ = root.Close() })
	if err := unpack.Tar(ctx, root, f, unpack.Options{MaxBytes: c.MaxImage, MaxEntries: 64 << 10}); err != nil {
		return err
	}
	w.plan, err = c.planFolder(ctx, root, ref.tag)
	return err
}

// unpack downloads a layer, checks it and unpacks it to where the slave takes it from.
func (w *worker) unpack(ctx context.Context, o order) (*layerInfo, error) {
	dir := filepath.Join(w.job.Dir, strconv.Itoa(o.Layer), "fs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	found := &whiteouts{removed: map[string]bool{}, opaque: map[string]bool{}}
	if err := w.job.Config.stream(ctx, &w.plan.layers[o.Layer], root, found, o.Most); err != nil {
		return nil, err
	}
	return found.settle(root)
}
