package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/offer"
)

// probeFlags say how the slave is to look at a command: where its flags' names have prefix.
type probeFlags struct {
	prefix                   string
	cmd, http, tcp           string
	delay, interval, timeout time.Duration
}

// add adds the flags. usages are those of the three kinds of looks, and what names what is looked at.
func (f *probeFlags) add(cmd *cobra.Command, prefix string, usages [3]string, what string) {
	f.prefix = prefix
	flags := cmd.Flags()
	flags.StringVar(&f.cmd, prefix+"-cmd", "", usages[0]+"; none by default")
	flags.StringVar(&f.http, prefix+"-http", "", usages[1]+"; none by default")
	flags.StringVar(&f.tcp, prefix+"-tcp", "", usages[2]+"; none by default")
	flags.DurationVar(&f.delay, prefix+"-delay", offer.DefaultCheckDelay, "time from the start to the first look at "+what)
	flags.DurationVar(&f.interval, prefix+"-interval", offer.DefaultCheckInterval, "time between two looks at "+what)
	flags.DurationVar(&f.timeout, prefix+"-timeout", offer.DefaultCheckTimeout, "how long a look at "+what+" may take")
}

// check is what the flags ask for, nil if they ask for nothing, and the flag that does with its value.
func (f *probeFlags) check() (c *offer.Check, name, value string, err error) {
	c = &offer.Check{Delay: zeroIsNone(f.delay), Interval: f.interval, Timeout: f.timeout}
	for _, x := range []struct {
		name, value string
		read        func(*offer.Check, string) bool
	}{{f.prefix + "-cmd", f.cmd, readCommand}, {f.prefix + "-http", f.http, readHTTP}, {f.prefix + "-tcp", f.tcp, readTCP}} {
		if x.value == "" {
			continue
		}
		if name != "" {
			return nil, "", "", badFlag(x.name, x.value, fmt.Sprintf("must be the only one of --%s-cmd, --%s-http and --%s-tcp", f.prefix, f.prefix, f.prefix))
		}
		if name, value = x.name, x.value; !x.read(c, x.value) {
			return nil, "", "", badFlag(x.name, x.value, fmt.Sprintf("must be a port from 1 to 65535, for --%s-http with a path behind it if it has one, as in 8080/health", f.prefix))
		}
	}
	if name == "" {
		return nil, "", "", nil
	}
	switch {
	case f.delay < 0:
		err = badFlag(f.prefix+"-delay", f.delay.String(), "must not be negative")
	case f.interval == 0:
		err = badFlag(f.prefix+"-interval", "0", "must be above zero")
	case f.timeout == 0:
		err = badFlag(f.prefix+"-timeout", "0", "must be above zero")
	}
	return c, name, value, err
}

// checkFlags say how the slave is to look at a command and tell what it sees.
type checkFlags struct{ probeFlags }

func (f *checkFlags) add(cmd *cobra.Command) {
	f.probeFlags.add(cmd, "check", [3]string{
		"shell `LINE` that is run in the command's container again and again; when its exit status changes, I say so",
		"`[https://]PORT[/PATH]` where the command is asked again and again; when the status of its answer changes, I say so",
		"`PORT` where a connection to the command is tried again and again; when that changes, I say so"}, "what is checked")
}

func (f *checkFlags) check() (*offer.Check, error) {
	c, name, value, err := f.probeFlags.check()
	if err != nil || c == nil {
		return nil, err
	}
	if err := offer.ValidateChecks(&offer.Task{Check: c}); err != nil {
		return nil, badFlag(name, value, strings.TrimPrefix(err.Error(), "check."))
	}
	return c, nil
}

// healthFlags say how the slave is to look at a command's health.
type healthFlags struct {
	probeFlags
	grace    time.Duration
	failures int
}

func (f *healthFlags) add(cmd *cobra.Command) {
	f.probeFlags.add(cmd, "health", [3]string{
		"shell `LINE` that exits with 0 in the command's container while the command is well; one that is not is killed",
		"`[https://]PORT[/PATH]` where the command answers with a status from 200 to 399 while it is well",
		"`PORT` where the command takes connections while it is well"}, "its health")
	cmd.Flags().DurationVar(&f.grace, "health-grace", offer.DefaultHealthGrace, "time from the start in which failures do not count")
	cmd.Flags().IntVar(&f.failures, "health-failures", offer.DefaultFailures, "how many failures in a row kill the command")
}

func (f *healthFlags) check() (*offer.HealthCheck, error) {
	c, name, value, err := f.probeFlags.check()
	switch {
	case err != nil || c == nil:
		return nil, err
	case f.grace < 0:
		return nil, badFlag("health-grace", f.grace.String(), "must not be negative")
	case f.failures < 1:
		return nil, badFlag("health-failures", strconv.Itoa(f.failures), "must be at least 1")
	}
	h := &offer.HealthCheck{Check: *c, Grace: zeroIsNone(f.grace), Failures: f.failures}
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
