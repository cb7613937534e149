package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A reference is what an image was asked for by.
type reference struct {
	folder   string // of a layout or a tarball: the allowed folder
	path     string // and the path in there
	archive  bool
	registry Registry
	name     string // in the registry, as Opener takes it
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
	host, name, tag, ok := splitName(text)
	if !ok {
		return nil, errors.New("is not the name of an image (allowed: HOST/NAME:TAG, layout:/FOLDER or archive:/FILE)")
	}
	r := &reference{name: host + "/" + name + ":" + tag, tag: tag}
	if isDigest(tag) {
		r.name = host + "/" + name + "@" + tag
	}
	var hosts []string
	for _, reg := range c.Registries {
		if reg.Host == host {
			r.registry = reg
			return r, nil
		}
		hosts = append(hosts, reg.Host)
	}
	if len(hosts) == 0 {
		return nil, notAllowed("this slave pulls from no registry")
	}
	return nil, notAllowed(fmt.Sprintf("this slave does not pull from registry %s (allowed: %s)", host, strings.Join(hosts, ", ")))
}

// splitName takes the name of an image in a registry apart: HOST/NAME[:TAG][@DIGEST], where a digest goes before a tag.
func splitName(text string) (host, name, tag string, ok bool) {
	host, name, ok = strings.Cut(text, "/")
	if !ok || host == "" || strings.ContainsAny(host, "@?#%") {
		return "", "", "", false
	}
	name, digest, hashed := strings.Cut(name, "@")
	if hashed && !isDigest(digest) {
		return "", "", "", false
	}
	tag = "latest"
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name, tag = name[:i], name[i+1:]
	}
	if !isTag(tag) {
		return "", "", "", false
	}
	for part := range strings.SplitSeq(name, "/") {
		if !isPart(part) {
			return "", "", "", false
		}
	}
	if hashed {
		tag = digest
	}
	return host, name, tag, true
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz0123456789"
	tagged = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
)

func isTag(s string) bool {
	return len(s) > 0 && len(s) <= 128 && strings.Contains(tagged, s[:1]) && strings.Trim(s, tagged+".-") == ""
}

// isPart reports whether a part of a name is letters and digits with separators only between them: a point, one or two underlines, or any
// number of hyphens.
func isPart(s string) bool {
	for s != "" {
		rest := strings.TrimLeft(s, lower)
		if rest == s {
			return false
		}
		if s = rest; s == "" {
			return true
		}
		next := strings.TrimLeft(s, "._-")
		switch separator := s[:len(s)-len(next)]; {
		case separator == "." || separator == "_" || separator == "__" || strings.Trim(separator, "-") == "" && separator != "":
		default:
			return false
		}
		if s = next; s == "" {
			return false
		}
	}
	return false
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
