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
type use struct {
	Container string
	Digest    string
	Layers    []string // diff ids; they stay though what is known of the image gets lost
}

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
	if isDigest(ref.tag) && ref.folder == "" {
		if u, err := s.known(container, ref.tag); err == nil {
			return u, nil
		}
	}
	dir, err := os.MkdirTemp(s.path("tmp"), "pull")
	if err != nil {
		return nil, err
	}
	defer func() { _ = removeTree(dir) }()
	u, err := s.pull(ctx, dir, container, text)
	if err != nil && errors.Is(context.Cause(ctx), limit) {
		err = limit
	}
	if err != nil {
		_ = s.Collect() // what it has brought may be too much
		return nil, err
	}
	return u, nil
}

// pull has a puller find out what an image is made of, and bring the layers that are not there yet.
func (s *Store) pull(ctx context.Context, dir, container, text string) (*Unpacked, error) {
	p, err := s.cfg.start(ctx, dir, text)
	if err != nil {
		return nil, err
	}
	defer p.close()
	img, err := p.image()
	if err != nil {
		return nil, err
	}
	defer s.keep(img)()
	if err := s.bring(ctx, p, img); err != nil {
		return nil, err
	}
	hex, err := hexOf(img.Digest)
	if err != nil {
		return nil, err
	}
	if err := s.write(s.path("images", hex+".json"), img); err != nil {
		return nil, err
	}
	return s.known(container, img.Digest)
}

// keep makes Collect spare an image and its layers until the func that it returns is called.
func (s *Store) keep(img *stored) (unkeep func()) {
	add := func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		names := []string{img.Digest}
		for _, id := range img.Layers {
			names = append(names, id[len("sha256:"):])
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
func (s *Store) bring(ctx context.Context, p *puller, img *stored) error {
	left := s.cfg.MaxImage
	for i, id := range img.Layers {
		if err := s.layer(ctx, p, i, id, left); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(img.Layers), err)
		}
		var info layerInfo
		if err := s.read(s.path("layers", id[len("sha256:"):], "layer.json"), &info); err != nil {
			return err
		}
		if left -= info.Bytes; left < 0 {
			return fmt.Errorf("its layers have more than %d bytes when unpacked, the most that is allowed", s.cfg.MaxImage)
		}
		if err := s.room(); err != nil {
			return err
		}
	}
	return nil
}

// layer unpacks one, or waits for who does.
func (s *Store) layer(ctx context.Context, p *puller, n int, diffID string, most int64) error {
	hex := diffID[len("sha256:"):]
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
			w.err = s.unpack(p, n, diffID, most)
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
	return u, s.write(s.ref(container), use{container, digest, img.Layers})
}

// nameOf is what files and folders of a container are called.
func nameOf(container string) string {
	sum := sha256.Sum256([]byte(container))
	return hex.EncodeToString(sum[:16])
}

func (s *Store) ref(container string) string { return s.path("refs", nameOf(container)+".json") }

// Release says that a container does not use its image any more. One that is not known is no error.
func (s *Store) Release(container string) error {
	var u use
	if s.read(s.ref(container), &u) == nil {
		if hex, err := hexOf(u.Digest); err == nil {
			now := time.Now() // it was used until now
			_ = os.Chtimes(s.path("images", hex+".json"), now, now)
		}
	}
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
	_ = s.Collect() // what a look at it would show does not keep a slave from starting
	return nil
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
