package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// A layout is a folder in OCI layout. Links in it lead nowhere else.
type layout struct {
	root *os.Root
	tag  string
}

func (l *layout) top(context.Context) (descriptor, []byte, error) {
	var all index
	if err := readDocument(l.root, indexFile, &all); err != nil {
		return descriptor{}, nil, err
	}
	var names []string
	for _, m := range all.Manifests {
		name := m.Annotations[nameOfTag]
		if l.tag == name || l.tag == "" && (len(all.Manifests) == 1 || name == "latest") || strings.HasSuffix(name, ":"+l.tag) && l.tag != "" ||
			l.tag == m.Digest {
			b, err := document(context.Background(), l, m)
			return m, b, err
		}
		if len(names) < 10 {
			names = append(names, fmt.Sprintf("%.60s", name))
		}
	}
	return descriptor{}, nil, fmt.Errorf("has no image of tag %.60q (there: %s)", l.tag, strings.Join(names, ", "))
}

func (l *layout) open(_ context.Context, d descriptor) (io.ReadCloser, error) {
	hex, err := hexOf(d.Digest)
	if err != nil {
		return nil, err
	}
	return openFile(l.root, path.Join("blobs", "sha256", hex))
}

// openFile opens a regular file, and nothing that would never open.
func openFile(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%.100s: is not a file", name), f.Close())
	}
	return f, nil
}

func readDocument(root *os.Root, name string, into any) error {
	f, err := openFile(root, name)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		err = fmt.Errorf("has more than %d bytes, the most that is allowed", maxDocument)
	}
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// planFolder finds out what the image in a folder is made of: in OCI layout, or what `docker save` wrote before it wrote that.
func (c StoreConfig) planFolder(ctx context.Context, root *os.Root, tag string) (*plan, error) {
	if _, err := root.Lstat(layoutFile); err == nil {
		return c.plan(ctx, &layout{root, tag})
	}
	var saved []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	err := readDocument(root, "manifest.json", &saved)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("holds no image (allowed: an OCI layout, or what docker save writes)")
	}
	if err != nil {
		return nil, err
	}
	for _, s := range saved {
		found := tag == "" && len(saved) == 1 || slices.ContainsFunc(s.RepoTags, func(t string) bool { return t == tag || strings.HasSuffix(t, ":"+tag) })
		if !found {
			continue
		}
		if len(s.Layers) > c.MaxLayers {
			return nil, fmt.Errorf("%d layers (allowed: at most %d)", len(s.Layers), c.MaxLayers)
		}
		var raw json.RawMessage
		if err := readDocument(root, s.Config, &raw); err != nil {
			return nil, err
		}
		p := &plan{digest: digestOf(raw)} // there is no manifest that could have one
		for _, name := range s.Layers {
			p.layers = append(p.layers, layer{size: -1, open: func(context.Context) (io.ReadCloser, error) { return openFile(root, name) }})
		}
		return p, p.configure(raw)
	}
	return nil, fmt.Errorf("has no image of tag %.60q", tag)
}
