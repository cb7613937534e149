package offer

import (
	"fmt"
	"strings"
	"time"
)

// CheckKind says how a Check looks at its task. The numbers are those of Mesos' CheckInfo.Type.
type CheckKind uint8

// The kinds of checks.
const (
	CheckCommand CheckKind = 1 // a program that runs in the task's container; its exit status is the result
	CheckHTTP    CheckKind = 2 // a GET to the task's machine; the status of the answer is the result
	CheckTCP     CheckKind = 3 // a connection to the task's machine, which is closed again at once
)

// String returns Mesos' name.
func (k CheckKind) String() string {
	switch k {
	case CheckCommand:
		return "COMMAND"
	case CheckHTTP:
		return "HTTP"
	case CheckTCP:
		return "TCP"
	}
	return "CHECK(" + itoa(int(k)) + ")"
}

// What Mesos' checks do when they do not say otherwise.
const (
	DefaultCheckDelay    = 15 * time.Second
	DefaultCheckInterval = 10 * time.Second
	DefaultCheckTimeout  = 20 * time.Second
	DefaultHealthGrace   = 10 * time.Second
	DefaultFailures      = 3
)

// The most and the least that a check may ask for.
const (
	MinCheckInterval = 100 * time.Millisecond
	MinCheckTimeout  = 10 * time.Millisecond
	MaxCheckTimeout  = 5 * time.Minute
	MaxCheckTime     = 24 * time.Hour // of a delay, an interval and a grace period
	MaxCheckPath     = 4096           // bytes
	MaxCheckCommand  = 64 << 10       // bytes of a command with its arguments and environment
	MaxFailures      = 1_000_000
)

// A Check looks at a task again and again while it runs, and has its results told with the task's statuses; it never acts. Mesos: CheckInfo.
// The slave makes it, for tasks with a container of their own: commands, functions, and members of groups of the built-in executor. A custom
// executor is handed the checks of its tasks and makes them itself.
type Check struct {
	Kind CheckKind
	// Command runs in the task's container, as the task's user and in its sandbox, with the task's environment and that of the Command behind it.
	// User and URIs are not used. Of a command check only.
	Command *Command
	// Port is where the task listens, at 127.0.0.1 of its network. Of HTTP and TCP checks only.
	Port uint16
	// Path is what an HTTP check asks for, with its query if it has one. Defaults to "/".
	Path string
	// Scheme of an HTTP check is "http" or "https"; whose certificate it is, is not looked at. Defaults to "http".
	Scheme string

	Delay    time.Duration // from the task's start to the first probe; zero means DefaultCheckDelay, negative none
	Interval time.Duration // from the end of a probe to the next; zero means DefaultCheckInterval
	Timeout  time.Duration // after which a probe has come to nothing; zero means DefaultCheckTimeout
}

// A HealthCheck is a Check that tells good from bad, and has its slave kill the task, by its KillPolicy, when it is bad too often. Good are a
// command that exits with 0, an HTTP answer of 200 to 399 (a redirect is not followed), a connection. Mesos: HealthCheck.
type HealthCheck struct {
	Check
	// Grace is the time from the task's start in which failures do not count, until the first success ends it. It includes Delay. Zero means
	// DefaultHealthGrace, negative none. A slave that was restarted gives it anew.
	Grace time.Duration
	// Failures is how many in a row kill the task. Zero means DefaultFailures.
	Failures int
}

func within(d, def time.Duration) time.Duration {
	switch {
	case d == 0:
		return def
	case d < 0:
		return 0
	}
	return d
}

// EffectiveDelay returns the time from the task's start to the first probe.
func (c *Check) EffectiveDelay() time.Duration { return within(c.Delay, DefaultCheckDelay) }

// EffectiveInterval returns the time between two probes.
func (c *Check) EffectiveInterval() time.Duration { return within(c.Interval, DefaultCheckInterval) }

// EffectiveTimeout returns the time that a probe has.
func (c *Check) EffectiveTimeout() time.Duration { return within(c.Timeout, DefaultCheckTimeout) }

// EffectiveGrace returns the time in which failures do not count.
func (h *HealthCheck) EffectiveGrace() time.Duration { return within(h.Grace, DefaultHealthGrace) }

// EffectiveFailures returns how many failures in a row kill the task.
func (h *HealthCheck) EffectiveFailures() int {
	if h.Failures == 0 {
		return DefaultFailures
	}
	return h.Failures
}

// A CheckResult is what a Check has last come to. Mesos: CheckStatusInfo.
type CheckResult struct {
	Kind CheckKind
	// Known is false before the first probe has ended, and when the last one came to nothing: it took too long, or nobody answered it.
	Known     bool
	ExitCode  int  // of a command
	Status    int  // of an HTTP answer
	Succeeded bool // there was a connection
}

// Healthy reports whether a HealthCheck takes the result for good.
func (r CheckResult) Healthy() bool {
	switch {
	case !r.Known:
		return false
	case r.Kind == CheckCommand:
		return r.ExitCode == 0
	case r.Kind == CheckHTTP:
		return r.Status >= 200 && r.Status <= 399
	}
	return r.Kind == CheckTCP && r.Succeeded
}

// String says it in words, such as "HTTP status 200".
func (r CheckResult) String() string {
	switch {
	case !r.Known:
		return "no result"
	case r.Kind == CheckCommand:
		return "exit status " + itoa(r.ExitCode)
	case r.Kind == CheckHTTP:
		return "HTTP status " + itoa(r.Status)
	case r.Succeeded:
		return "connected"
	}
	return "no connection"
}

// ValidateChecks checks what a task says about its checks; the error names the field, the value and what is allowed.
func ValidateChecks(t *Task) error {
	if t.Check != nil {
		if err := t.Check.validate(); err != nil {
			return fmt.Errorf("check.%w", err)
		}
	}
	h := t.Health
	if h == nil {
		return nil
	}
	if err := h.validate(); err != nil {
		return fmt.Errorf("health.%w", err)
	}
	switch {
	case h.Grace > MaxCheckTime:
		return fmt.Errorf("health.grace %v: is too long (allowed: at most %v)", h.Grace, MaxCheckTime)
	case h.Failures < 0 || h.Failures > MaxFailures:
		return fmt.Errorf("health.failures %d: is not a number of failures (allowed: 1 to %d, or 0 for %d)", h.Failures, MaxFailures, DefaultFailures)
	}
	return nil
}

func (c *Check) validate() error {
	var err error
	switch c.Kind {
	case CheckCommand:
		err = c.validateCommand()
	case CheckHTTP:
		err = c.validateHTTP()
	case CheckTCP:
		if c.Path != "" || c.Scheme != "" {
			return fmt.Errorf("path %.80q: is set for a TCP check (allowed: path and scheme for HTTP checks)", c.Path+c.Scheme)
		}
	default:
		return fmt.Errorf("kind %d: is not a kind of check (allowed: %d for a command, %d for HTTP, %d for TCP)", c.Kind, CheckCommand, CheckHTTP, CheckTCP)
	}
	switch {
	case err != nil:
		return err
	case c.Kind != CheckCommand && c.Port == 0:
		return fmt.Errorf("port 0: is not a port (allowed: 1 to 65535)")
	case c.Kind != CheckCommand && c.Command != nil:
		return fmt.Errorf("command %.80q: is set for a check of kind %v (allowed: for command checks)", c.Command.Value, c.Kind)
	case c.Delay > MaxCheckTime:
		return fmt.Errorf("delay %v: is too long (allowed: at most %v)", c.Delay, MaxCheckTime)
	case c.Interval != 0 && (c.Interval < MinCheckInterval || c.Interval > MaxCheckTime):
		return fmt.Errorf("interval %v: is out of bounds (allowed: %v to %v, or 0 for %v)", c.Interval, MinCheckInterval, MaxCheckTime, DefaultCheckInterval)
	case c.Timeout != 0 && (c.Timeout < MinCheckTimeout || c.Timeout > MaxCheckTimeout):
		return fmt.Errorf("timeout %v: is out of bounds (allowed: %v to %v, or 0 for %v)", c.Timeout, MinCheckTimeout, MaxCheckTimeout, DefaultCheckTimeout)
	}
	return nil
}

func (c *Check) validateHTTP() error {
	switch {
	case len(c.Path) > MaxCheckPath:
		return fmt.Errorf("path %.80q: has %d bytes (allowed: at most %d)", c.Path, len(c.Path), MaxCheckPath)
	case c.Path != "" && c.Path[0] != '/':
		return fmt.Errorf("path %.80q: is not absolute (allowed: a path that begins with /)", c.Path)
	case hasControl(c.Path) || strings.ContainsAny(c.Path, " #"):
		return fmt.Errorf("path %.80q: contains a space, a # or a control character (allowed: written as %%20 and the like)", c.Path)
	case c.Scheme != "" && c.Scheme != "http" && c.Scheme != "https":
		return fmt.Errorf("scheme %.80q: is not known (allowed: http, https, or none for http)", c.Scheme)
	}
	return nil
}

func (c *Check) validateCommand() error {
	cmd := c.Command
	switch {
	case cmd == nil:
		return fmt.Errorf("command: is not set (allowed: a command for a command check)")
	case c.Port != 0 || c.Path != "" || c.Scheme != "":
		return fmt.Errorf("port %d: is set for a command check (allowed: port, path and scheme for HTTP checks, port for TCP checks)", c.Port)
	case cmd.Value == "":
		return fmt.Errorf("command.value: is empty (allowed: a program, or a line for the shell)")
	case cmd.User != "":
		return fmt.Errorf("command.user %.80q: is set (allowed: none, it runs as the task's)", cmd.User)
	case len(cmd.URIs) > 0:
		return fmt.Errorf("command.uris: %d of them (allowed: none, they are the task's to fetch)", len(cmd.URIs))
	}
	n := len(cmd.Value)
	nul := strings.IndexByte(cmd.Value, 0) >= 0
	for _, a := range cmd.Arguments {
		n, nul = n+len(a)+1, nul || strings.IndexByte(a, 0) >= 0
	}
	for _, v := range cmd.Environment {
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00") {
			return fmt.Errorf("command.environment %.80q: is not a name (allowed: no = and no zero byte)", v.Name)
		}
		n, nul = n+len(v.Name)+len(v.Value)+2, nul || strings.IndexByte(v.Value, 0) >= 0
	}
	switch {
	case nul:
		return fmt.Errorf("command.value %.80q: value, arguments or environment contain a zero byte", cmd.Value)
	case n > MaxCheckCommand:
		return fmt.Errorf("command.value %.80q: has %d bytes with its arguments and environment (allowed: at most %d)", cmd.Value, n, MaxCheckCommand)
	}
	return nil
}
