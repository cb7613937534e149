package executor

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/meros-project/meros/offer"
)

// Config is how an executor reaches its slave. FromEnvironment reads it from what the slave has left in the environment.
type Config struct {
	// Socket is the path of the slave's socket for executors. Required.
	Socket string
	// Token proves who the executor is. Required.
	Token string
	// Framework is the id of the framework. Required.
	Framework offer.FrameworkID
	// Executor is the executor's own id. Required.
	Executor offer.ExecutorID
	// Sandbox is the executor's own folder. Defaults to none.
	Sandbox string
	// RecoveryTimeout is how long the slave may be away before Run gives up. Defaults to 15 min.
	RecoveryTimeout time.Duration
	// NoCheckpoint says that the framework's tasks end with the slave's process: Run gives up when the connection is lost. Defaults to false.
	NoCheckpoint bool
	// ShutdownGrace is how long updates may take to be delivered after a shutdown. Defaults to 5 s.
	ShutdownGrace time.Duration
	// Logger defaults to none.
	Logger *slog.Logger
}

// FromEnvironment reads the Config that the slave has put into the environment, and removes the token from there, so that programs
// that the executor starts do not see it. It is called once, by main.
func FromEnvironment() (Config, error) {
	cfg := Config{
		Socket:       os.Getenv("MEROS_EXECUTOR_SOCKET"),
		Token:        os.Getenv("MEROS_EXECUTOR_TOKEN"),
		Framework:    offer.FrameworkID(os.Getenv("MESOS_FRAMEWORK_ID")),
		Executor:     offer.ExecutorID(os.Getenv("MESOS_EXECUTOR_ID")),
		Sandbox:      os.Getenv("MESOS_SANDBOX"),
		NoCheckpoint: os.Getenv("MESOS_CHECKPOINT") == "0",
	}
	if text := os.Getenv("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			return cfg, fmt.Errorf("executor: MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD is %q (allowed: a duration such as 5s)", text)
		}
		cfg.ShutdownGrace = d
	}
	_ = os.Unsetenv("MEROS_EXECUTOR_TOKEN")
	if err := cfg.Validate(); err != nil {
		return cfg, fmt.Errorf("%w; was this program started by a slave?", err)
	}
	return cfg, nil
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	switch {
	case c.Socket == "":
		return errors.New("executor: config: Socket is empty (allowed: the path of the slave's socket)")
	case c.Token == "":
		return errors.New("executor: config: Token is empty (allowed: what the slave gave to this executor)")
	case c.RecoveryTimeout < 0:
		return fmt.Errorf("executor: config: RecoveryTimeout is %v (allowed: more than zero)", c.RecoveryTimeout)
	case c.ShutdownGrace < 0:
		return fmt.Errorf("executor: config: ShutdownGrace is %v (allowed: more than zero)", c.ShutdownGrace)
	}
	for what, id := range map[string]string{"Framework": string(c.Framework), "Executor": string(c.Executor)} {
		if err := offer.ValidateID(what, id); err != nil {
			return fmt.Errorf("executor: config: %w", err)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.RecoveryTimeout == 0 {
		c.RecoveryTimeout = 15 * time.Minute
	}
	if c.ShutdownGrace == 0 {
		c.ShutdownGrace = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
