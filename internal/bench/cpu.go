package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

func cpuBenchmark() benchmark {
	return benchmark{
		name:  "slave/cpu",
		what:  "how far the cpu time of a task that wants more is from what it asked for, 0.5 cpus, on a real slave that bounds it",
		goals: []goal{{key: "percent_off", most: true, limit: 5}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o cpuOptions
			fs.DurationVar(&o.time, "time", 10*time.Second, "how long it is measured")
			return o.run
		},
	}
}

type cpuOptions struct{ time time.Duration }

// A reading is the cpu time that a container had used at a moment, both in seconds.
type reading struct{ at, used float64 }

func (o *cpuOptions) run(ctx context.Context, r *report) (err error) {
	if o.time < 100*time.Millisecond {
		return fmt.Errorf("-time is %v (allowed: at least 100ms)", o.time)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.time+time.Minute, errors.New("no result in time"))
	defer cancel()
	w, err := startCluster(ctx, 0, "cpus:1", network{}, r.logger())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := os.Chmod(w.dir, 0o711); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s, err := slave.New(slave.Config{WorkDir: filepath.Join(w.dir, "slave"), Masters: w.masters.addresses, Listener: ln, Hostname: "node",
		Isolators: []string{"process", "cgroup"}, Resources: resource.Must("cpus:0.5;mem:64"), Leave: true, Logger: r.logger().With("node", "slave")})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	slaveCtx, stop := context.WithCancel(ctx)
	before := w.cancel
	w.cancel = func() { stop(); before() }
	w.wg.Go(func() { w.keep(s.Run(slaveCtx)) })
	// Two that never rest, so that one of them runs where the machine is busy.
	x := &starter{program: "/bin/sh", arguments: []string{"sh", "-c", "while :; do :; done & while :; do :; done"}, stays: true,
		resources: resource.Must("cpus:0.5;mem:64"), changed: make(chan struct{}, 1), failed: make(chan error, 1)}
	done, err := w.session(ctx, framework.Config{Name: "bench", Masters: w.masters.addresses, Logger: r.logger().With("node", "framework")}, x)
	if err != nil {
		return err
	}
	if _, err := x.batch(ctx, done, 1, 1); err != nil {
		return err
	}
	// The first second is not measured: a container that has just begun may have more than its share of one period.
	var first, last reading
	for _, step := range []struct {
		wait time.Duration
		into *reading
	}{{min(time.Second, o.time), &first}, {o.time, &last}} {
		select {
		case <-time.After(step.wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if *step.into, err = read(ctx, ln.Addr().String()); err != nil {
			return err
		}
	}
	cpus := (last.used - first.used) / (last.at - first.at)
	r.set("cpus", cpus)
	r.set("percent_off", 100*math.Abs(cpus/0.5-1))
	return nil
}

// read asks the slave what its only container has used.
func read(ctx context.Context, address string) (reading, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/containers", nil)
	if err != nil {
		return reading{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reading{}, err
	}
	defer response.Body.Close()
	var list []struct {
		Statistics struct {
			Timestamp float64
			User      float64 `json:"cpus_user_time_secs"`
			System    float64 `json:"cpus_system_time_secs"`
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return reading{}, fmt.Errorf("/containers: %s: %w", response.Status, err)
	}
	if len(list) != 1 || list[0].Statistics.Timestamp == 0 {
		return reading{}, fmt.Errorf("/containers: %+v (wanted: one container that is measured)", list)
	}
	st := list[0].Statistics
	return reading{st.Timestamp, st.User + st.System}, nil
}
