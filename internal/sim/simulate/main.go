// Command simulate runs seeds of the simulated world, prints progress, and for each that fails the rule, the last lines of its trace and
// the command that runs it again.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/sim"
)

func main() {
	seeds := flag.Uint64("seeds", 100, "how many seeds to run")
	first := flag.Uint64("seed", 1, "the first seed")
	trace := flag.Int("trace", 40, "lines of the trace to print for a seed that fails")
	twice := flag.Bool("twice", false, "run each seed twice and compare the traces")
	workers := flag.Int("workers", runtime.GOMAXPROCS(0), "seeds at the same time")
	flag.Parse()
	if *seeds == 0 || *workers < 1 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "simulate: -seeds and -workers must be at least 1, and nothing may follow the flags")
		os.Exit(2)
	}
	began := time.Now()
	failed := campaign(*first, *seeds, *workers, *trace, *twice)
	fmt.Printf("simulate seeds=%d failed=%d seconds=%.1f\n", *seeds, failed, time.Since(began).Seconds())
	if failed > 0 {
		os.Exit(1)
	}
}

func campaign(first, seeds uint64, workers, trace int, twice bool) (failed int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var done uint64
	next := make(chan uint64)
	for range workers {
		wg.Go(func() {
			for seed := range next {
				r := sim.RunSeed(seed, trace)
				differs := twice && sim.RunSeed(seed, 0).Hash != r.Hash
				mu.Lock()
				done++
				if r.Violation != nil || differs {
					failed++
					report(r, differs)
				}
				if done%100 == 0 || done == seeds {
					fmt.Printf("%d of %d seeds, %d failed; last: %d steps, settled in %v, %+v\n", done, seeds, failed, r.Steps, r.Settled, r.Counts)
				}
				mu.Unlock()
			}
		})
	}
	for i := range seeds {
		next <- first + i
	}
	close(next)
	wg.Wait()
	return failed
}

func report(r *sim.Report, differs bool) {
	for _, line := range r.Trace {
		fmt.Println(line)
	}
	if differs {
		fmt.Printf("seed %d: two runs differ\n", r.Seed)
	}
	if r.Violation != nil {
		fmt.Printf("seed %d: %v\n", r.Seed, r.Violation)
	}
	fmt.Println("again:", r.Reproduce())
}
