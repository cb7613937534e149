package image

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// An old image is a candidate for being thrown out.
type old struct {
	hex    string
	layers []string // hex
	used   bool
	last   time.Time
}

// Collect throws out images that no container uses, the longest unused first, until the store is within its bound, and layers that no image
// has. Get and Recover call it.
func (s *Store) Collect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	images, err := s.survey()
	if err != nil {
		return fmt.Errorf("image: collect: %w", err)
	}
	sizes := map[string]int64{} // of layers, by hex
	entries, err := os.ReadDir(s.path("layers"))
	if err != nil {
		return fmt.Errorf("image: collect: %w", err)
	}
	total := int64(0)
	for _, e := range entries {
		var info layerInfo
		_ = s.read(s.path("layers", e.Name(), "layer.json"), &info) // without one it is half deleted
		sizes[e.Name()] = info.Bytes
		total += info.Bytes
	}
	needed := map[string]int{}
	for _, i := range images {
		for _, l := range i.layers {
			needed[l]++
		}
	}
	drop := func(hex string) error {
		if needed[hex] > 0 || s.busy[hex] > 0 || s.layers[hex] != nil {
			return nil
		}
		total -= sizes[hex]
		delete(sizes, hex)
		_ = os.Remove(s.path("layers", hex, "layer.json")) // first, so that nobody takes a half for the whole
		return removeTree(s.path("layers", hex))
	}
	slices.SortFunc(images, func(a, b old) int { return a.last.Compare(b.last) })
	for _, i := range images {
		if total <= s.cfg.MaxBytes {
			break
		}
		if i.used || s.busy["sha256:"+i.hex] > 0 {
			continue
		}
		if err := os.Remove(s.path("images", i.hex+".json")); err != nil {
			return fmt.Errorf("image: collect: %w", err)
		}
		for _, l := range i.layers {
			needed[l]--
		}
		for _, l := range i.layers {
			if err := drop(l); err != nil {
				return fmt.Errorf("image: collect: %w", err)
			}
		}
	}
	if total <= s.cfg.MaxBytes {
		return nil
	}
	// Layers of pulls that have failed wait for the next attempt only while there is room.
	for _, e := range entries {
		if err := drop(e.Name()); err != nil {
			return fmt.Errorf("image: collect: %w", err)
		}
	}
	return nil
}

// survey reads which images there are, and which are used. The lock is held.
func (s *Store) survey() ([]old, error) {
	used := map[string]bool{}
	refs, err := os.ReadDir(s.path("refs"))
	if err != nil {
		return nil, err
	}
	for _, e := range refs {
		var u use
		if err := s.read(s.path("refs", e.Name()), &u); err == nil {
			used[u.Digest] = true
		}
	}
	entries, err := os.ReadDir(s.path("images"))
	if err != nil {
		return nil, err
	}
	var images []old
	for _, e := range entries {
		var img stored
		if err := s.read(s.path("images", e.Name()), &img); err != nil {
			if err := os.Remove(s.path("images", e.Name())); err != nil {
				return nil, err
			}
			continue
		}
		i := old{hex: strings.TrimSuffix(e.Name(), ".json"), used: used[img.Digest]}
		if st, err := e.Info(); err == nil {
			i.last = st.ModTime()
		}
		for _, id := range img.Layers {
			i.layers = append(i.layers, strings.TrimPrefix(id, "sha256:"))
		}
		images = append(images, i)
	}
	return images, nil
}
