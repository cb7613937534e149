package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A goal bounds one figure of the last line.
type goal struct {
	key   string
	most  bool // the figure must be at most limit; otherwise at least
	limit float64
}

func (g goal) String() string {
	sign := ">="
	if g.most {
		sign = "<="
	}
	return g.key + sign + number(g.limit)
}

func (g goal) met(v float64) bool {
	if g.most {
		return v <= g.limit
	}
	return v >= g.limit
}

func goalText(goals []goal) string {
	if len(goals) == 0 {
		return "none"
	}
	list := make([]string, len(goals))
	for i, g := range goals {
		list[i] = g.String()
	}
	return strings.Join(list, ",")
}

// A report collects the figures of one run and prints them.
type report struct {
	name          string
	goals         []goal
	out, progress io.Writer
	profile       string // where child processes write a CPU profile, with their number behind; empty: nowhere
	verbose       bool   // write the logs of masters, slaves and frameworks to standard error
	figures       []figure
	keep          any // what a heap profile should still show at the end
}

type figure struct {
	key   string
	value float64
}

func (r *report) logger() *slog.Logger { return newLogger(r.verbose) }

func newLogger(verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// say prints progress.
func (r *report) say(format string, args ...any) {
	fmt.Fprintf(r.progress, r.name+": "+format+"\n", args...)
}

// print prints a line of figures beside the last one.
func (r *report) print(format string, args ...any) { fmt.Fprintf(r.out, format+"\n", args...) }

// set gives a figure of the last line, in the order of the calls.
func (r *report) set(key string, value float64) { r.figures = append(r.figures, figure{key, value}) }

// finish prints the last line and reports whether every goal is met. A goal without its figure is not met.
func (r *report) finish() bool {
	var line strings.Builder
	line.WriteString(r.name)
	for _, f := range r.figures {
		line.WriteString(" " + f.key + "=" + number(f.value))
	}
	met := true
	for _, g := range r.goals {
		i := slices.IndexFunc(r.figures, func(f figure) bool { return f.key == g.key })
		met = met && i >= 0 && g.met(r.figures[i].value)
	}
	fmt.Fprintf(&line, " goal=%s met=%t", goalText(r.goals), met)
	fmt.Fprintln(r.out, line.String())
	return met
}

// number writes a figure with as many digits as it deserves.
func number(v float64) string {
	switch {
	case v == float64(int64(v)) || v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// quantile returns the value below which the part q of the values lies, by the nearest rank; zero for none.
func quantile[T int | float64 | time.Duration](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	rank := int(q*float64(len(sorted)) + 0.9999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func median[T int | float64 | time.Duration](values []T) T { return quantile(values, 0.5) }

func joined(errs []error) error { return errors.Join(errs...) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
