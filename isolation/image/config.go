package image

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"time"

	"github.com/meros-project/meros/isolation/fetch"
)

// StoreConfig is the configuration of a Store. Only Dir is required.
type StoreConfig struct {
	// Dir is the absolute path of the store's folder, which belongs to it alone. Required.
	Dir string
	// MaxBytes is how much the store may hold, unpacked: images that nobody uses are thrown out for new ones, and where all are in use, new ones
	// are refused. Defaults to 20 GiB.
	MaxBytes int64
	// MaxImage bounds each image, packed and unpacked, in bytes. Defaults to 10 GiB.
	MaxImage int64
	// MaxLayers bounds the layers of an image. Defaults to 128.
	MaxLayers int
	// MaxEntries bounds the entries of a layer. Defaults to 500,000.
	MaxEntries int
	// Timeout bounds a pull. Defaults to 15 min.
	Timeout time.Duration
	// Setuid keeps setuid and setgid bits. Defaults to false: they are stripped.
	Setuid bool

	// Registries are the hosts, with ports where these are not 443, that images may be pulled from: over https, or over http where the host is
	// a loopback address or localhost. They need a program that has called UseRegistry. Defaults to none.
	Registries []Registry
	// Folders are where layout: and archive: references may lead, by absolute path. Defaults to none.
	Folders []string
	// CAFile is a file of certificates, in PEM, that are trusted beside the system's. Defaults to none.
	CAFile string
	// Holder holds each process that looks at what others have made to one processor and to Memory. Defaults to none; a slave whose tasks are held
	// by isolator cgroup uses that.
	Holder fetch.Holder `json:"-"` // the job of such a process holds the rest
	// Memory is how much such a process may use, in bytes, with what it writes as far as that is not on disk yet. Defaults to 512 MiB.
	Memory int64
	// Architecture is whose images are chosen where there are several, in the words of Go. Defaults to this machine's.
	Architecture string
}

// A Registry is one that images may be pulled from.
type Registry struct {
	Host           string // with a port where that is not 443, such as "registry.example.org" or "127.0.0.1:5000"
	User, Password string // empty means to ask as nobody
}

func (c StoreConfig) withDefaults() StoreConfig {
	c.MaxBytes = cmp.Or(c.MaxBytes, 20<<30)
	c.MaxImage = cmp.Or(c.MaxImage, 10<<30)
	c.MaxLayers = cmp.Or(c.MaxLayers, 128)
	c.MaxEntries = cmp.Or(c.MaxEntries, 500_000)
	c.Memory = cmp.Or(c.Memory, 512<<20)
	c.Timeout = cmp.Or(c.Timeout, 15*time.Minute)
	c.Architecture = cmp.Or(c.Architecture, runtime.GOARCH)
	return c
}

// Validate reports the first field that cannot be used.
func (c StoreConfig) Validate() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("image: config: %s %s", field, fmt.Sprintf(format, args...))
	}
	if !filepath.IsAbs(c.Dir) || filepath.Clean(c.Dir) == "/" {
		return bad("Dir", "is %q (allowed: the absolute path of a folder)", c.Dir)
	}
	for i, f := range c.Folders {
		if !filepath.IsAbs(f) {
			return bad(fmt.Sprintf("Folders[%d]", i), "is %q (allowed: an absolute path)", f)
		}
	}
	if len(c.Registries) > 0 && opener.Load() == nil {
		return bad("Registries", "has %d entries, but this program has not called image.UseRegistry (allowed: none)", len(c.Registries))
	}
	for i, r := range c.Registries {
		if r.Host == "" {
			return bad(fmt.Sprintf("Registries[%d].Host", i), "is empty (allowed: a host, with a port where that is not 443)")
		}
	}
	for _, n := range []struct {
		field string
		value int64
	}{{"MaxBytes", c.MaxBytes}, {"MaxImage", c.MaxImage}, {"MaxLayers", int64(c.MaxLayers)}, {"MaxEntries", int64(c.MaxEntries)}, {"Timeout", int64(c.Timeout)},
		{"Memory", c.Memory}} {
		if n.value < 0 {
			return bad(n.field, "is %d (allowed: more than zero)", n.value)
		}
	}
	return nil
}

// loopback reports whether a registry is on this machine, so that plain text is as good as any.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Settings are what an image says about what is to be run in it.
type Settings struct {
	Entrypoint []string
	Cmd        []string
	Env        []string // NAME=value
	WorkingDir string   // absolute in the container; empty means /
	User       string   // by name or number, with :GROUP if it names one; empty means that the image does not say
}

// Argv is what to run: the entry point with arguments, those of the image if there are none.
func (c Settings) Argv(arguments []string) []string {
	if len(arguments) == 0 {
		arguments = c.Cmd
	}
	return append(append([]string(nil), c.Entrypoint...), arguments...)
}

// An Unpacked image is folders.
type Unpacked struct {
	Digest string   // of its manifest; sha256: and 64 digits
	Layers []string // absolute paths of the folders, the lowest first; they are shared, and nobody may write there
	// Overlay says that whiteouts are in the layers in the form of overlayfs. Otherwise only Flatten understands them. Where a layer removes
	// something from a folder that no lower layer has, overlayfs lists a name that cannot be opened.
	Overlay bool
	Config  Settings
}
