package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/meros-project/meros/slave"
)

// A benchmark is one entry of the table.
type benchmark struct {
	name  string
	what  string // one line
	goals []goal
	// flags declares the benchmark's own flags and returns what runs it once they are parsed.
	flags func(*flag.FlagSet) func(context.Context, *report) error
}

// benchmarks is the table, in the order in which it is listed.
func benchmarks() []benchmark {
	return append([]benchmark{launchBenchmark(), offerBenchmark(), failoverBenchmark(), recoverBenchmark(), recordBenchmark(), memoryBenchmark(),
		startsBenchmark(), slaveRecoverBenchmark(), cpuBenchmark(), restBenchmark(), placeBenchmark(), commitBenchmark(),
		takeoverBenchmark(), convergeBenchmark()}, allocBenchmarks()...)
}

func main() {
	slave.Supervise(nil)
	asChild()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// asChild ends the process if it was started as a master, a slave or a member of the gossip.
func asChild() {
	switch {
	case isChild():
		os.Exit(childMain())
	case os.Getenv(gossipVariable) != "":
		os.Exit(gossipMain())
	case os.Getenv(slaveVariable) != "":
		os.Exit(slaveMain())
	}
}

// run is main without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	table := benchmarks()
	if len(args) == 0 {
		for _, b := range table {
			fmt.Fprintf(stdout, "%-22s %s (goal: %s)\n", b.name, b.what, goalText(b.goals))
		}
		return 0
	}
	var names []string
	for _, b := range table {
		if b.name == args[0] {
			return runOne(ctx, b, args[1:], stdout, stderr)
		}
		names = append(names, b.name)
	}
	fmt.Fprintf(stderr, "bench: %.60q is not a benchmark (allowed: %s)\n", args[0], strings.Join(names, ", "))
	return 2
}

func runOne(ctx context.Context, b benchmark, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet(b.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var profiles profiles
	profiles.flags(fs)
	verbose := fs.Bool("verbose", false, "write the logs of masters, slaves and frameworks to standard error")
	do := b.flags(fs)
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(stdout)
		fmt.Fprintf(stdout, "%s: %s\n", b.name, b.what)
		fs.PrintDefaults()
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "bench: %s: %v (see -help)\n", b.name, err)
		return 2
	case fs.NArg() > 0:
		fmt.Fprintf(stderr, "bench: %s: argument %.60q is not expected (allowed: flags, see -help)\n", b.name, fs.Arg(0))
		return 2
	}
	r := &report{name: b.name, goals: b.goals, out: stdout, progress: stderr, profile: profiles.cpu, verbose: *verbose}
	err := profiles.start()
	if err == nil {
		err = do(ctx, r)
		err = errors.Join(err, profiles.stop())
		runtime.KeepAlive(r.keep)
	}
	var bad *badFlag
	switch {
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "bench: %s: %v\n", b.name, bad)
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "bench: %s: %v\n", b.name, err)
		return 1
	}
	if !r.finish() {
		return 1
	}
	return 0
}

// A badFlag is a value that parses and is not allowed.
type badFlag struct{ text string }

func (b *badFlag) Error() string { return b.text }

// atLeast checks flags that have a lowest value.
func atLeast(name string, value, lowest int) error {
	if value < lowest {
		return &badFlag{fmt.Sprintf("-%s is %d (allowed: at least %d)", name, value, lowest)}
	}
	return nil
}
