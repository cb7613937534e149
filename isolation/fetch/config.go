package fetch

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Config is the configuration of the fetcher. The zero value fetches over http and https, without a cache.
type Config struct {
	// Cache is the absolute path of the cache's folder, which belongs to the fetcher alone and is emptied at the start. Empty means no cache:
	// a URI with Cache is then downloaded for each task. Defaults to none.
	Cache string
	// CacheBytes bounds the cache. Defaults to 2 GiB.
	CacheBytes int64
	// Files are the folders that file URIs may be read from, by absolute path; the task's user must be able to read the file. Defaults to none:
	// then file URIs are refused.
	Files []string
	// Allow are addresses that may be used though they are loopback, link-local, multicast, or a metadata service's, and that a redirect from
	// a public address may lead to though they are private. Defaults to none.
	Allow []netip.Prefix
	// CAFile is a file of certificates, in PEM, that are trusted beside the system's. Defaults to none.
	CAFile string

	// MaxBytes bounds each download. Defaults to 2 GiB.
	MaxBytes int64
	// MaxUnpacked bounds the content of each archive, in bytes. Defaults to 8 GiB.
	MaxUnpacked int64
	// MaxEntries bounds the entries of each archive. Defaults to 200,000.
	MaxEntries int
	// MaxRedirects bounds the redirects that one URI may lead through. Defaults to 10.
	MaxRedirects int
	// Timeout bounds all that one task fetches. Defaults to 15 min.
	Timeout time.Duration
	// Stall ends a download of which less than StallBytes have come for that long. Defaults to 1 min.
	Stall time.Duration
	// AtOnce bounds how many fetchers work at the same time. Defaults to 16.
	AtOnce int
	// Holder holds each fetcher to one processor and to Memory, beside what its task is held to. Defaults to none; a slave whose tasks are held
	// by isolator cgroup uses that.
	Holder Holder `json:"-"` // the job of a fetcher holds the rest
	// Memory is how much a fetcher may use, in bytes, with what it writes as far as that is not on disk yet. Defaults to 256 MiB.
	Memory int64
}

// StallBytes are the fewest bytes of a download that must come within Config.Stall.
const StallBytes = 1024

func (c Config) withDefaults() Config {
	c.CacheBytes = cmp.Or(c.CacheBytes, 2<<30)
	c.MaxBytes = cmp.Or(c.MaxBytes, 2<<30)
	c.MaxUnpacked = cmp.Or(c.MaxUnpacked, 8<<30)
	c.MaxEntries = cmp.Or(c.MaxEntries, 200_000)
	c.MaxRedirects = cmp.Or(c.MaxRedirects, 10)
	c.Timeout = cmp.Or(c.Timeout, 15*time.Minute)
	c.Stall = cmp.Or(c.Stall, time.Minute)
	c.AtOnce = cmp.Or(c.AtOnce, 16)
	c.Memory = cmp.Or(c.Memory, 256<<20)
	return c
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("fetch: config: %s %s", field, fmt.Sprintf(format, args...))
	}
	if c.Cache != "" && (!filepath.IsAbs(c.Cache) || filepath.Clean(c.Cache) == "/") {
		return bad("Cache", "is %q (allowed: the absolute path of a folder)", c.Cache)
	}
	for i, f := range c.Files {
		if st, err := os.Stat(f); !filepath.IsAbs(f) || err != nil || !st.IsDir() {
			return bad(fmt.Sprintf("Files[%d]", i), "is %q (allowed: the absolute path of a folder that exists)", f)
		}
	}
	for i, p := range c.Allow {
		if !p.IsValid() {
			return bad(fmt.Sprintf("Allow[%d]", i), "is not a range of addresses (allowed: such as 127.0.0.0/8)")
		}
	}
	if c.CAFile != "" {
		if st, err := os.Stat(c.CAFile); !filepath.IsAbs(c.CAFile) || err != nil || !st.Mode().IsRegular() {
			return bad("CAFile", "is %q (allowed: the absolute path of a file that exists)", c.CAFile)
		}
	}
	for _, n := range []struct {
		field string
		value int64
	}{{"CacheBytes", c.CacheBytes}, {"MaxBytes", c.MaxBytes}, {"MaxUnpacked", c.MaxUnpacked}, {"MaxEntries", int64(c.MaxEntries)},
		{"MaxRedirects", int64(c.MaxRedirects)}, {"Timeout", int64(c.Timeout)}, {"Stall", int64(c.Stall)}, {"AtOnce", int64(c.AtOnce)},
		{"Memory", c.Memory}} {
		if n.value < 0 {
			return bad(n.field, "is %d (allowed: more than zero)", n.value)
		}
	}
	return nil
}
