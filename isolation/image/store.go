package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/isolation/unpack"
)

// A Store holds unpacked images. Its methods are safe for concurrent use. One process uses a folder at a time.
type Store struct {
	cfg StoreConfig

	mu     sync.Mutex
	layers map[string]*work // that are being unpacked, by hex
	busy   map[string]int   // layers, by hex, and images, by digest, that a Get is about to use
}

// A work is a layer on its way, for all who wait for it.
type work struct {
	done chan struct{}
	err  error
}

// NewStore returns a Store on a folder, which is made when it is missing, without what an earlier process has left half done.
func NewStore(cfg StoreConfig) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg.withDefaults(), layers: map[string]*work{}, busy: map[string]int{}}
	if err := removeTree(s.path("tmp")); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	for _, dir := range []string{"layers", "images", "refs", "tmp"} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			return nil, fmt.Errorf("image: %w", err)
		}
	}
	return s, nil
}

func (s *Store) path(parts ...string) string {
	return filepath.Join(append([]string{s.cfg.Dir}, parts...)...)
}

// removeTree is os.RemoveAll, also of folders that their owner may not enter.
func removeTree(path string) error {
	if err := os.RemoveAll(path); err == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, e fs.DirEntry, _ error) error {
		if e != nil && e.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// A stored image is what images/HEX.json holds.
type stored struct {
	Digest string
	Layers []string // diff ids, the lowest first
	Config Settings
}

// A use is what refs/HEX.json holds.
type use struct{ Container, Digest string }

// Get brings an image into the store, if it is not there, and keeps it there for a container until Release. A tag is looked up each time; an
// image that is named by its digest and is there needs no registry. It may take as long as a download; ctx ends it.
func (s *Store) Get(ctx context.Context, container, ref string) (*Unpacked, error) {
	u, err := s.get(ctx, container, ref)
	if err != nil {
		return nil, fmt.Errorf("image %.200s: %w", ref, err)
	}
	return u, nil
}

func (s *Store) get(ctx context.Context, container, text string) (*Unpacked, error) {
	ref, err := parse(s.cfg, text)
	if err != nil {
		return nil, err
	}
	limit := fmt.Errorf("not there in %v, the most that is allowed", s.cfg.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, s.cfg.Timeout, limit)
	defer cancel()
	if digestForm.MatchString(ref.tag) && ref.folder == "" {
		if u, err := s.known(container, ref.tag); err == nil {
			return u, nil
		}
	}
	p, done, err := s.plan(ctx, ref)
	defer done()
	if err == nil {
		defer s.keep(p)()
		err = s.bring(ctx, p)
	}
	if errors.Is(context.Cause(ctx), limit) {
		err = limit
	}
	if err != nil {
		return nil, err
	}
	hex, err := hexOf(p.digest)
	if err != nil {
		return nil, err
	}
	img := stored{Digest: p.digest, Config: p.config}
	for _, l := range p.layers {
		img.Layers = append(img.Layers, l.diffID)
	}
	if err := s.write(s.path("images", hex+".json"), img); err != nil {
		return nil, err
	}
	u, err := s.known(container, p.digest)
	if err != nil {
		return nil, err
	}
	return u, s.Collect()
}

// plan opens where the image comes from; done closes it.
func (s *Store) plan(ctx context.Context, ref *reference) (p *plan, done func(), err error) {
	done = func() {}
	switch {
	case ref.folder == "":
		src, err := s.cfg.pull(ref)
		if err != nil {
			return nil, done, err
		}
		p, err := s.cfg.plan(ctx, src)
		return p, done, err
	case !ref.archive:
		root, err := ref.root()
		if err != nil {
			return nil, done, err
		}
		p, err := s.cfg.planFolder(ctx, root, ref.tag)
		return p, func() { _ = root.Close() }, err
	}
	f, err := ref.open()
	if err != nil {
		return nil, done, err
	}
	defer f.Close()
	temp, err := os.MkdirTemp(s.path("tmp"), "archive")
	if err != nil {
		return nil, done, err
	}
	root, err := os.OpenRoot(temp)
	if err != nil {
		return nil, func() { _ = removeTree(temp) }, err
	}
	done = func() { _ = root.Close(); _ = removeTree(temp) }
	if err := unpack.Tar(ctx, root, f, unpack.Options{MaxBytes: s.cfg.MaxImage, MaxEntries: 64 << 10}); err != nil {
		return nil, done, err
	}
	p, err = s.cfg.planFolder(ctx, root, ref.tag)
	return p, done, err
}

// keep makes Collect spare a plan's image and its layers until the func that it returns is called.
func (s *Store) keep(p *plan) (unkeep func()) {
	add := func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		names := []string{p.digest}
		for _, l := range p.layers {
			names = append(names, l.diffID[len("sha256:"):])
		}
		for _, name := range names {
			if s.busy[name] += n; s.busy[name] == 0 {
				delete(s.busy, name)
			}
		}
	}
	add(1)
	return func() { add(-1) }
}

// bring unpacks the layers that are not there yet, one after the other.
func (s *Store) bring(ctx context.Context, p *plan) error {
	left := s.cfg.MaxImage
	for i := range p.layers {
		l := &p.layers[i]
		if err := s.layer(ctx, l, left); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(p.layers), err)
		}
		var info layerInfo
		if err := s.read(s.path("layers", l.diffID[len("sha256:"):], "layer.json"), &info); err != nil {
			return err
		}
		if left -= info.Bytes; left < 0 {
			return fmt.Errorf("its layers have more than %d bytes when unpacked, the most that is allowed", s.cfg.MaxImage)
		}
	}
	return nil
}

// layer unpacks one, or waits for who does.
func (s *Store) layer(ctx context.Context, l *layer, most int64) error {
	hex := l.diffID[len("sha256:"):]
	for {
		s.mu.Lock()
		w := s.layers[hex]
		mine := w == nil
		if mine {
			if _, err := os.Stat(s.path("layers", hex, "layer.json")); err == nil {
				s.mu.Unlock()
				return nil
			}
			w = &work{done: make(chan struct{})}
			s.layers[hex] = w
		}
		s.mu.Unlock()
		if mine {
			w.err = s.unpack(ctx, l, most)
			s.mu.Lock()
			delete(s.layers, hex)
			s.mu.Unlock()
			close(w.done)
			return w.err
		}
		select {
		case <-w.done:
			if w.err == nil {
				return nil
			} // the other's kill, or bad luck, is not this one's: try again
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// known returns an image that is complete, and notes that a container uses it.
func (s *Store) known(container, digest string) (*Unpacked, error) {
	hex, err := hexOf(digest)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var img stored
	if err := s.read(s.path("images", hex+".json"), &img); err != nil {
		return nil, err
	}
	u := &Unpacked{Digest: digest, Config: img.Config, Overlay: true}
	for _, id := range img.Layers {
		lhex, err := hexOf(id)
		if err != nil {
			return nil, err
		}
		var info layerInfo
		if err := s.read(s.path("layers", lhex, "layer.json"), &info); err != nil {
			return nil, err
		}
		u.Overlay = u.Overlay && info.Overlay
		u.Layers = append(u.Layers, s.path("layers", lhex, "fs"))
	}
	now := time.Now()
	_ = os.Chtimes(s.path("images", hex+".json"), now, now) // the order in which images are thrown out
	return u, s.write(s.ref(container), use{container, digest})
}

func (s *Store) ref(container string) string {
	sum := sha256.Sum256([]byte(container))
	return s.path("refs", hex.EncodeToString(sum[:16])+".json")
}

// Release says that a container does not use its image any more. One that is not known is no error.
func (s *Store) Release(container string) error {
	if err := os.Remove(s.ref(container)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("image: %w", err)
	}
	return nil
}

// Recover keeps the images of these containers, and of no others.
func (s *Store) Recover(containers []string) error {
	keep := map[string]bool{}
	for _, c := range containers {
		keep[filepath.Base(s.ref(c))] = true
	}
	entries, err := os.ReadDir(s.path("refs"))
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			if err := os.Remove(s.path("refs", e.Name())); err != nil {
				return fmt.Errorf("image: %w", err)
			}
		}
	}
	return s.Collect()
}

// read and write are for the store's own small files, which appear complete or not at all.
func (s *Store) read(path string, into any) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.TrimPrefix(path, s.cfg.Dir+"/"), err)
	}
	return nil
}

func (s *Store) write(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.path("tmp"), "file")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
