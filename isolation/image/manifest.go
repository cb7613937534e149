package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDocument bounds manifests, indexes and configurations, in bytes.
const maxDocument = 4 << 20

// maxSettings bounds what a configuration says about what is run, in bytes.
const maxSettings = 256 << 10

// A source is where an image comes from.
type source interface {
	// top is the manifest or index that was asked for.
	top(ctx context.Context) (descriptor, []byte, error)
	// open opens what a descriptor names; who reads it checks it.
	open(ctx context.Context, d descriptor) (io.ReadCloser, error)
}

// A layer is one of an image, before it is unpacked.
type layer struct {
	diffID string // of its tar archive
	packed string // digest of what is transferred; empty if that is the archive itself, or nothing vouches for it
	size   int64  // of what is transferred; below zero if it is not known
	open   func(ctx context.Context) (io.ReadCloser, error)
}

// A plan is an image before its layers are unpacked.
type plan struct {
	digest string
	config Settings
	layers []layer
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// document reads a small blob and checks it.
func document(ctx context.Context, src source, d descriptor) ([]byte, error) {
	if _, err := hexOf(d.Digest); err != nil {
		return nil, err
	}
	if d.Size < 0 || d.Size > maxDocument {
		return nil, fmt.Errorf("%s has %d bytes (allowed: at most %d)", d.Digest, d.Size, maxDocument)
	}
	r, err := src.open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, d.Size+1))
	if err != nil {
		return nil, err
	}
	if digestOf(b) != d.Digest {
		return nil, fmt.Errorf("what came for %s is something else", d.Digest)
	}
	return b, nil
}

// plan finds out what an image is made of.
func (c StoreConfig) plan(ctx context.Context, src source) (*plan, error) {
	d, b, err := src.top(ctx)
	if err != nil {
		return nil, err
	}
	for range 4 { // an index may hold an index
		if d.MediaType != indexType && d.MediaType != dockerList {
			break
		}
		if d, err = c.choose(b); err != nil {
			return nil, err
		}
		if b, err = document(ctx, src, d); err != nil {
			return nil, fmt.Errorf("manifest: %w", err)
		}
	}
	if d.MediaType != manifestType && d.MediaType != dockerManifest {
		return nil, fmt.Errorf("its manifest is of type %.80q (allowed: those of OCI and of Docker's second version)", d.MediaType)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if len(m.Layers) > c.MaxLayers {
		return nil, fmt.Errorf("%d layers (allowed: at most %d)", len(m.Layers), c.MaxLayers)
	}
	raw, err := document(ctx, src, m.Config)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	p := &plan{digest: d.Digest}
	total := int64(0)
	for _, l := range m.Layers {
		if _, err := hexOf(l.Digest); err != nil {
			return nil, fmt.Errorf("layer: %w", err)
		}
		switch {
		case strings.HasSuffix(l.MediaType, "zstd"):
			return nil, errors.New("its layers are packed with zstd (allowed: tar, and tar packed with gzip)")
		case strings.Contains(l.MediaType, "foreign") || strings.Contains(l.MediaType, "nondistributable"):
			return nil, errors.New("it has layers that must be had from elsewhere")
		case l.Size < 0 || l.Size > c.MaxImage-total:
			return nil, fmt.Errorf("its layers have more than %d bytes, the most that is allowed", c.MaxImage)
		}
		total += l.Size
		p.layers = append(p.layers, layer{packed: l.Digest, size: l.Size, open: func(ctx context.Context) (io.ReadCloser, error) { return src.open(ctx, l) }})
	}
	return p, p.configure(raw)
}

// choose picks this machine's image from an index.
func (c StoreConfig) choose(b []byte) (descriptor, error) {
	var all index
	if err := json.Unmarshal(b, &all); err != nil {
		return descriptor{}, fmt.Errorf("index: %w", err)
	}
	var have []string
	for _, m := range all.Manifests {
		if m.Platform == nil {
			if len(all.Manifests) == 1 {
				return m, nil
			}
			continue
		}
		if m.Platform.OS == "linux" && m.Platform.Architecture == c.Architecture {
			return m, nil
		}
		if len(have) < 10 {
			have = append(have, fmt.Sprintf("%.20s/%.20s", m.Platform.OS, m.Platform.Architecture))
		}
	}
	return descriptor{}, fmt.Errorf("has no image for linux/%s (there: %s)", c.Architecture, strings.Join(have, ", "))
}

// configure takes over what the image's configuration says.
func (p *plan) configure(raw []byte) error {
	var img configuration
	if err := json.Unmarshal(raw, &img); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if len(img.RootFS.DiffIDs) != len(p.layers) {
		return fmt.Errorf("%d layers, but the configuration names %d", len(p.layers), len(img.RootFS.DiffIDs))
	}
	if img.OS != "" && img.OS != "linux" {
		return fmt.Errorf("is for %.20s (allowed: linux)", img.OS)
	}
	for i, id := range img.RootFS.DiffIDs {
		if _, err := hexOf(id); err != nil {
			return fmt.Errorf("configuration: %w", err)
		}
		p.layers[i].diffID = id
	}
	c := img.Config
	if c.WorkingDir != "" && !strings.HasPrefix(c.WorkingDir, "/") {
		return fmt.Errorf("configuration: working directory %.80q (allowed: an absolute path)", c.WorkingDir)
	}
	p.config = c
	total := 0
	for _, s := range append(append(append([]string{c.WorkingDir, c.User}, c.Entrypoint...), c.Cmd...), c.Env...) {
		if total += len(s) + 1; total > maxSettings {
			return fmt.Errorf("configuration: more than %d bytes of arguments and environment, the most that is allowed", maxSettings)
		}
		if strings.IndexByte(s, 0) >= 0 {
			return errors.New("configuration: a zero byte in a string")
		}
	}
	return nil
}
