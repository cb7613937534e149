package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"time"
)

func restBenchmark() benchmark {
	return benchmark{
		name:  "slave/rest",
		what:  "memory of a registered slave with the default isolators that has no task, as a program of its own; with the links of this program, which has masters too",
		goals: []goal{{key: "resident_mib", most: true, limit: 25}},
		flags: func(*flag.FlagSet) func(context.Context, *report) error { return restRun },
	}
}

func restRun(ctx context.Context, r *report) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("no result in one minute"))
	defer cancel()
	w, err := startCluster(ctx, 0, "cpus:1", network{}, r.logger())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	child, err := startSlaveChild(slaveSpec{Dir: filepath.Join(w.dir, "slave"), Masters: w.masters.addresses, Verbose: r.verbose, Resources: "cpus:1;mem:32"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, child.end(err != nil)) }()
	if _, err := child.await(ctx, 0); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(child.stdin, "rest"); err != nil {
		return err
	}
	for child.lines.Scan() && child.lines.Text() != "rests" {
	}
	use, err := memoryOf(child.cmd.Process.Pid)
	if err != nil {
		return err
	}
	r.set("resident_mib", float64(use.resident)/(1<<20))
	r.set("share_mib", float64(use.share)/(1<<20))
	return nil
}
