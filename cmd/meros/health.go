package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/offer"
)

// healthFlags say how the slave is to look at a command's health.
type healthFlags struct {
	cmd, http, tcp                  string
	delay, interval, timeout, grace time.Duration
	failures                        int
}

func (f *healthFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.cmd, "health-cmd", "", "shell `LINE` that exits with 0 in the command's container while the command is well; one that is not is killed; none by default")
	flags.StringVar(&f.http, "health-http", "", "`[https://]PORT[/PATH]` where the command answers with a status from 200 to 399 while it is well; none by default")
	flags.StringVar(&f.tcp, "health-tcp", "", "`PORT` where the command takes connections while it is well; none by default")
	flags.DurationVar(&f.delay, "health-delay", offer.DefaultCheckDelay, "time from the start to the first look at its health")
	flags.DurationVar(&f.interval, "health-interval", offer.DefaultCheckInterval, "time between two looks")
	flags.DurationVar(&f.timeout, "health-timeout", offer.DefaultCheckTimeout, "how long a look may take")
	flags.DurationVar(&f.grace, "health-grace", offer.DefaultHealthGrace, "time from the start in which failures do not count")
	flags.IntVar(&f.failures, "health-failures", offer.DefaultFailures, "how many failures in a row kill the command")
}

// check is what the flags ask for, nil if they ask for nothing.
func (f *healthFlags) check() (*offer.HealthCheck, error) {
	h := &offer.HealthCheck{Check: offer.Check{Delay: zeroIsNone(f.delay), Interval: f.interval, Timeout: f.timeout}, Grace: zeroIsNone(f.grace),
		Failures: f.failures}
	name, value := "", ""
	for _, x := range []struct {
		name, value string
		read        func(*offer.Check, string) bool
	}{{"health-cmd", f.cmd, readCommand}, {"health-http", f.http, readHTTP}, {"health-tcp", f.tcp, readTCP}} {
		if x.value == "" {
			continue
		}
		if name != "" {
			return nil, badFlag(x.name, x.value, "must be the only one of --health-cmd, --health-http and --health-tcp")
		}
		if name, value = x.name, x.value; !x.read(&h.Check, x.value) {
			return nil, badFlag(x.name, x.value, "must be a port from 1 to 65535, for --health-http with a path behind it if it has one, as in 8080/health")
		}
	}
	if name == "" {
		return nil, nil
	}
	switch {
	case f.delay < 0:
		return nil, badFlag("health-delay", f.delay.String(), "must not be negative")
	case f.grace < 0:
		return nil, badFlag("health-grace", f.grace.String(), "must not be negative")
	case f.interval == 0:
		return nil, badFlag("health-interval", "0", "must be above zero")
	case f.timeout == 0:
		return nil, badFlag("health-timeout", "0", "must be above zero")
	case f.failures < 1:
		return nil, badFlag("health-failures", strconv.Itoa(f.failures), "must be at least 1")
	}
	if err := offer.ValidateChecks(&offer.Task{Health: h}); err != nil {
		return nil, badFlag(name, value, strings.TrimPrefix(err.Error(), "health."))
	}
	return h, nil
}

// zeroIsNone turns a flag, which has its default already, into a field, of which zero means the default.
func zeroIsNone(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

func readCommand(c *offer.Check, line string) bool {
	c.Kind, c.Command = offer.CheckCommand, &offer.Command{Value: line, Shell: true}
	return true
}

func readHTTP(c *offer.Check, text string) bool {
	text, secure := strings.CutPrefix(text, "https://")
	if secure {
		c.Scheme = "https"
	}
	if i := strings.IndexByte(text, '/'); i >= 0 {
		text, c.Path = text[:i], text[i:]
	}
	c.Kind = offer.CheckHTTP
	return readPort(c, text)
}

func readTCP(c *offer.Check, text string) bool {
	c.Kind = offer.CheckTCP
	return readPort(c, text)
}

func readPort(c *offer.Check, text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	c.Port = uint16(n)
	return err == nil && n > 0
}
