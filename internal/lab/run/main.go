//go:build linux

// Command run is a lab for minutes or hours: a cluster on many hosts, faults, and a verdict. Its last line is for scripts; it ends with 1 if
// anything was wrong, and with 0 only if nothing was.
//
//	go run ./internal/lab/run -seed 1 -time 5m
//	go run ./internal/lab/run -seed 1 -long
package main

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/meros-project/meros/internal/lab"
)

func main() {
	lab.Framework() // does not return in the processes that are frameworks
	seed := flag.Uint64("seed", 1, "the list of faults; with an odd one everybody speaks TLS")
	tree := flag.String("tree", "", "derive the seed from this text, such as the hash of a tree")
	length := flag.Duration("time", 5*time.Minute, "how long faults come")
	long := flag.Bool("long", false, "let them come for eight hours")
	bound := flag.Duration("bound", 0, "how long after a fault everything must be well again; 4m by default")
	only := flag.String("only", "", "the kinds of faults to have, with commas; all by default")
	keep := flag.String("keep", "", "a folder for logs, ledgers and notes when something is wrong; none by default")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "run: argument %q: none is allowed\n", flag.Arg(0))
		os.Exit(2)
	}
	if *long {
		*length = 8 * time.Hour
	}
	if *tree != "" {
		h := fnv.New64a()
		_, _ = h.Write([]byte(*tree))
		*seed = h.Sum64() >> 40
	}
	cfg := lab.Config{Seed: *seed, Time: *length, Bound: *bound, Keep: *keep, Out: os.Stdout}
	if *only != "" {
		for kind := range strings.SplitSeq(*only, ",") {
			cfg.Kinds = append(cfg.Kinds, lab.Kind(kind))
		}
	}
	if what := lab.Missing(); what != "" {
		fmt.Fprintln(os.Stderr, "run: this machine lacks", what)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := lab.Run(ctx, cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "run:", err)
		os.Exit(1)
	}
	for _, state := range slices.Sorted(maps.Keys(report.Ends)) {
		fmt.Printf("%7d  %s\n", report.Ends[state], state)
	}
	fmt.Printf("lab seed=%d faults=%d tasks=%d started=%d worst_recovery_s=%.1f violations=%d\n", *seed, len(report.Results), report.Tasks, report.Started,
		report.Worst().Seconds(), len(report.Wrong))
	if len(report.Wrong) > 0 {
		os.Exit(1)
	}
}
