package ports

import (
	"fmt"
	"log/slog"
	"time"
)

// Config is the configuration of the ports isolator.
type Config struct {
	// Every is how long it is from one look to the next. Defaults to 30 s, as in Mesos.
	Every time.Duration
	// Enforce has a container killed that listens on a port it was not given. Defaults to false: it is logged.
	Enforce bool
	// Logger defaults to none.
	Logger *slog.Logger
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	if c.Every < 0 {
		return fmt.Errorf("ports: config: Every is %v (allowed: more than zero)", c.Every)
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Every == 0 {
		c.Every = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
