package image

import (
	"cmp"
	"fmt"
	"maps"
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

// Collect throws out images that no container uses, the longest unused first, until the store is within its bound, with the layers that no
// other image has. Get and Recover call it.
func (s *Store) Collect() error {
	_, err := s.collect(time.Time{})
	return err
}

// CollectOlder throws out the images too that no container has used for so long, and the layers that failed pulls have left.
func (s *Store) CollectOlder(age time.Duration) error {
	_, err := s.collect(time.Now().Add(-age))
	return err
}

// room makes room, and reports an error where what is in use is more than the store may hold.
func (s *Store) room() error {
	total, _ := s.collect(time.Time{}) // if it cannot, that is this container's trouble only if there is no room
	if total > s.cfg.MaxBytes {
		return fmt.Errorf("there is no room: images that are in use have %d bytes with it (allowed: %d)", total, s.cfg.MaxBytes)
	}
	return nil
}

// A held layer is one in the store.
type held struct {
	bytes int64
	since time.Time
}

// collect throws out what was not used since oldest, and what is too much. It returns how many bytes are left.
func (s *Store) collect(oldest time.Time) (total int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	layers, total, err := s.layersHeld()
	if err != nil {
		return 0, fmt.Errorf("image: collect: %w", err)
	}
	images, needed, err := s.survey()
	if err != nil {
		return total, fmt.Errorf("image: collect: %w", err)
	}
	drop := func(hex string) error {
		if needed[hex] > 0 || s.busy[hex] > 0 || s.layers[hex] != nil {
			return nil
		}
		total -= layers[hex].bytes
		delete(layers, hex)
		_ = os.Remove(s.path("layers", hex, "layer.json")) // first, so that nobody takes a half for the whole
		return removeTree(s.path("layers", hex))
	}
	slices.SortFunc(images, func(a, b old) int { return cmp.Or(a.last.Compare(b.last), strings.Compare(a.hex, b.hex)) })
	for _, i := range images {
		if total <= s.cfg.MaxBytes && !i.last.Before(oldest) {
			break
		}
		if i.used || s.busy["sha256:"+i.hex] > 0 {
			continue
		}
		if err := os.Remove(s.path("images", i.hex+".json")); err != nil {
			return total, fmt.Errorf("image: collect: %w", err)
		}
		for _, l := range i.layers {
			needed[l]--
		}
		for _, l := range i.layers {
			if err := drop(l); err != nil {
				return total, fmt.Errorf("image: collect: %w", err)
			}
		}
	}
	// Layers of pulls that have failed wait for the next attempt, for a while and while there is room.
	for _, hex := range slices.Sorted(maps.Keys(layers)) {
		if total <= s.cfg.MaxBytes && !layers[hex].since.Before(oldest) {
			continue
		}
		if err := drop(hex); err != nil {
			return total, fmt.Errorf("image: collect: %w", err)
		}
	}
	return total, nil
}

// layersHeld reads which layers there are. The lock is held.
func (s *Store) layersHeld() (layers map[string]held, total int64, err error) {
	entries, err := os.ReadDir(s.path("layers"))
	if err != nil {
		return nil, 0, err
	}
	layers = map[string]held{}
	for _, e := range entries {
		var info layerInfo
		_ = s.read(s.path("layers", e.Name(), "layer.json"), &info) // without one it is half deleted
		h := held{bytes: info.Bytes}
		if st, err := e.Info(); err == nil {
			h.since = st.ModTime()
		}
		layers[e.Name()] = h
		total += info.Bytes
	}
	return layers, total, nil
}

// survey reads which images there are and which are used, and by how many images and containers each layer is needed. The lock is held.
func (s *Store) survey() (images []old, needed map[string]int, err error) {
	used := map[string]bool{}
	needed = map[string]int{}
	refs, err := os.ReadDir(s.path("refs"))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range refs {
		var u use
		if err := s.read(s.path("refs", e.Name()), &u); err != nil {
			return nil, nil, fmt.Errorf("what a container uses is not known, so that nothing is thrown out: %w", err)
		}
		used[u.Digest] = true
		for _, id := range u.Layers {
			needed[strings.TrimPrefix(id, "sha256:")]++
		}
	}
	entries, err := os.ReadDir(s.path("images"))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		var img stored
		if err := s.read(s.path("images", e.Name()), &img); err != nil {
			if err := os.Remove(s.path("images", e.Name())); err != nil {
				return nil, nil, err
			}
			continue
		}
		i := old{hex: strings.TrimSuffix(e.Name(), ".json"), used: used[img.Digest]}
		if st, err := e.Info(); err == nil {
			i.last = st.ModTime()
		}
		for _, id := range img.Layers {
			hex := strings.TrimPrefix(id, "sha256:")
			i.layers = append(i.layers, hex)
			needed[hex]++
		}
		images = append(images, i)
	}
	return images, needed, nil
}
