package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"oras.land/oras-go/v2/registry"
)

// A reference is what an image was asked for by.
type reference struct {
	folder   string // of a layout or a tarball: the allowed folder
	path     string // and the path in there
	archive  bool
	registry Registry
	name     registry.Reference
	tag      string // or a digest; empty: the only one there is
}

// notAllowed is what the slave's configuration says no to, in words.
type notAllowed string

func (n notAllowed) Error() string { return string(n) }

// parse reads a reference and finds out whether it may be used.
func parse(c StoreConfig, text string) (*reference, error) {
	kind, path, local := strings.Cut(text, ":/")
	if !local || kind != "layout" && kind != "archive" {
		return parseRegistry(c, text)
	}
	r := &reference{archive: kind == "archive"}
	path = "/" + path
	if i := strings.LastIndexByte(path, ':'); i > strings.LastIndexByte(path, '/') {
		path, r.tag = path[:i], path[i+1:]
	}
	for _, dir := range c.Folders {
		if rel, err := filepath.Rel(dir, filepath.Clean(path)); err == nil && filepath.IsLocal(rel) {
			r.folder, r.path = dir, rel
			return r, nil
		}
	}
	if len(c.Folders) == 0 {
		return nil, notAllowed("this slave allows no images of its own disk")
	}
	return nil, notAllowed("this slave allows no images there (allowed: below " + strings.Join(c.Folders, ", ") + ")")
}

func parseRegistry(c StoreConfig, text string) (*reference, error) {
	name, err := registry.ParseReference(text)
	if err != nil {
		return nil, errors.New("is not the name of an image (allowed: HOST/NAME:TAG, layout:/FOLDER or archive:/FILE)")
	}
	r := &reference{name: name, tag: name.ReferenceOrDefault()}
	var hosts []string
	for _, reg := range c.Registries {
		if reg.Host == name.Registry {
			r.registry = reg
			return r, nil
		}
		hosts = append(hosts, reg.Host)
	}
	if len(hosts) == 0 {
		return nil, notAllowed("this slave pulls from no registry")
	}
	return nil, notAllowed(fmt.Sprintf("this slave does not pull from registry %s (allowed: %s)", name.Registry, strings.Join(hosts, ", ")))
}

// open opens a file of the slave's disk, in an allowed folder.
func (r *reference) open() (*os.File, error) {
	root, err := os.OpenRoot(r.folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return openFile(root, r.path)
}

// root opens a folder of the slave's disk, in an allowed folder.
func (r *reference) root() (*os.Root, error) {
	root, err := os.OpenRoot(r.folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenRoot(r.path)
}

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// hexOf is the part of a digest that names files.
func hexOf(digest string) (string, error) {
	if !isDigest(digest) {
		return "", fmt.Errorf("digest %.80q is not allowed (allowed: sha256: and 64 digits)", digest)
	}
	return digest[len("sha256:"):], nil
}
