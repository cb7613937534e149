package disk

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/meros-project/meros/offer/resource"
)

// Config is the configuration of the disk isolator.
type Config struct {
	// Every is how long it is at most from one look at a container to the next. Defaults to 15 s, as in Mesos.
	Every time.Duration
	// ReportOnly logs what breaks a limit, once until it is mended, instead of having the container killed. Defaults to false.
	ReportOnly bool
	// Unasked is how many bytes a container may use that has asked for no disk. Defaults to 1 GiB; negative means no bound, as in Mesos.
	Unasked int64
	// Files is how many files and folders a sandbox, or a volume, may hold. Defaults to 4,000,000.
	Files int
	// Volume tells where the data of a persistent volume are. Defaults to nowhere: then volumes are not held to their size.
	Volume func(r resource.Resource) (string, error)
	// Root tells which folder takes what a container writes to a root folder of its own, and how many bytes of it are not the container's. It
	// counts as the sandbox does; empty means that there is none. Defaults to none.
	Root func(container string) (dir string, others uint64)
	// Logger defaults to none.
	Logger *slog.Logger
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	switch {
	case c.Every < 0:
		return fmt.Errorf("disk: config: Every is %v (allowed: more than zero)", c.Every)
	case c.Files < 0:
		return fmt.Errorf("disk: config: Files is %d (allowed: more than zero)", c.Files)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Every == 0 {
		c.Every = 15 * time.Second
	}
	if c.Unasked == 0 {
		c.Unasked = 1 << 30
	}
	if c.Files == 0 {
		c.Files = 4_000_000
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
