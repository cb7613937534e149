package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

func slaveRecoverBenchmark() benchmark {
	return benchmark{
		name:  "slave/recover",
		what:  "a slave with running tasks is killed: from its next start to the moment at which it is registered and has all of them again, with the same pids",
		goals: []goal{{key: "recovered", limit: 200}, {key: "seconds", most: true, limit: 2}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o slaveRecoverOptions
			fs.IntVar(&o.tasks, "tasks", 200, "running tasks")
			fs.IntVar(&o.rounds, "rounds", 3, "how often the slave is killed; the figures are those of the worst round")
			return o.run
		},
	}
}

type slaveRecoverOptions struct{ tasks, rounds int }

// slaveVariable, when set, makes this program a slave: its value is a slaveSpec.
const slaveVariable = "MEROS_BENCH_SLAVE"

// A slaveSpec says which slave a child process is.
type slaveSpec struct {
	Dir       string
	Masters   []string
	Resources string
	Verbose   bool
}

// slaveMain is the main of a child that is a slave. It tells on standard output what it has, collects its garbage for each line
// on its standard input, and ends with that.
func slaveMain() int {
	var spec slaveSpec
	err := json.Unmarshal([]byte(os.Getenv(slaveVariable)), &spec)
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			for lines := bufio.NewScanner(os.Stdin); lines.Scan(); { // each asks for rest
				debug.FreeOSMemory()
				fmt.Println("rests")
			}
			cancel()
		}()
		var s *slave.Slave
		s, err = slave.New(slave.Config{WorkDir: spec.Dir, Masters: spec.Masters, Listen: "none", Hostname: "node", Resources: resource.Must(spec.Resources),
			Logger: newLogger(spec.Verbose).With("node", "slave"), Observer: slave.Observer{
				Registered: func(offer.SlaveID) { fmt.Println("registered") },
				Started:    func(container string, pid int) { fmt.Println("started", container, pid) }}})
		if err == nil {
			err = s.Run(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: slave:", err)
		return 1
	}
	return 0
}

// A slaveChild is a slave in a process of its own.
type slaveChild struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func startSlaveChild(spec slaveSpec) (*slaveChild, error) {
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &slaveChild{cmd: exec.Command(program)}
	c.cmd.Env = append(os.Environ(), slaveVariable+"="+string(text))
	c.cmd.Stderr = os.Stderr
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.lines = bufio.NewScanner(out)
	return c, c.cmd.Start()
}

// await reads until the slave is registered and has told of n containers, which it returns with their pids. The end of ctx kills the slave.
func (c *slaveChild) await(ctx context.Context, n int) (map[string]int, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
	defer stop()
	pids := map[string]int{}
	registered := false
	for !registered || len(pids) < n {
		if !c.lines.Scan() {
			return pids, errors.Join(fmt.Errorf("the slave ended; %d of %d containers", len(pids), n), context.Cause(ctx))
		}
		var container string
		var pid int
		if c.lines.Text() == "registered" {
			registered = true
		} else if _, err := fmt.Sscanf(c.lines.Text(), "started %s %d", &container, &pid); err == nil {
			pids[container] = pid
		}
	}
	return pids, nil
}

// end kills the slave, or lets it end in order.
func (c *slaveChild) end(kill bool) error {
	if kill {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		return nil
	}
	_ = c.stdin.Close()
	for c.lines.Scan() {
	}
	return c.cmd.Wait()
}

func (o *slaveRecoverOptions) run(ctx context.Context, r *report) (err error) {
	for _, err := range []error{atLeast("tasks", o.tasks, 1), atLeast("rounds", o.rounds, 1)} {
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("no result in five minutes"))
	defer cancel()
	program, err := exec.LookPath("sleep")
	if err != nil {
		return err
	}
	w, err := startCluster(ctx, 0, "cpus:1", network{}, r.logger())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := os.Chmod(w.dir, 0o711); err != nil {
		return err
	}
	spec := slaveSpec{Dir: filepath.Join(w.dir, "slave"), Masters: w.masters.addresses, Verbose: r.verbose,
		Resources: fmt.Sprintf("cpus:%d;mem:%d", o.tasks, 32*o.tasks)}
	child, err := startSlaveChild(spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, child.end(err != nil)) }()
	x := &starter{program: program, arguments: []string{"sleep", "1000"}, stays: true, resources: resource.Must("cpus:1;mem:32"),
		changed: make(chan struct{}, 1), failed: make(chan error, 1)}
	sessionCtx, end := context.WithCancel(ctx)
	done, err := w.session(sessionCtx, framework.Config{Name: "bench", Masters: w.masters.addresses, FailoverTimeout: -1,
		Logger: r.logger().With("node", "framework")}, x)
	if err != nil {
		end()
		return err
	}
	defer func() { // before the slave ends: the tasks do with their framework
		end()
		err = errors.Join(err, awaitNoContainers(ctx, spec.Dir))
	}()
	if _, err := x.batch(ctx, done, o.tasks, o.tasks); err != nil {
		return err
	}
	pids, err := child.await(ctx, o.tasks)
	if err != nil {
		return err
	}
	return o.rounded(ctx, r, spec, &child, pids)
}

// rounded kills the slave again and again.
func (o *slaveRecoverOptions) rounded(ctx context.Context, r *report, spec slaveSpec, child **slaveChild, pids map[string]int) error {
	before := map[string]process.ID{}
	for container, pid := range pids {
		id, err := process.Identify(pid)
		if err != nil {
			return fmt.Errorf("container %s: process %d: %w", container, pid, err)
		}
		before[container] = id
	}
	worst, seconds := o.tasks, 0.0
	for i := range o.rounds {
		if err := (*child).end(true); err != nil {
			return err
		}
		began := time.Now()
		next, err := startSlaveChild(spec)
		if err != nil {
			return err
		}
		*child = next
		after, err := next.await(ctx, o.tasks)
		took := time.Since(began).Seconds()
		if err != nil {
			return err
		}
		recovered := 0
		for container, pid := range after {
			if id, err := process.Identify(pid); err == nil && id == before[container] {
				recovered++
			}
		}
		r.say("round %d: %d of %d with the same pid after %.3f s", i+1, recovered, o.tasks, took)
		worst, seconds = min(worst, recovered), max(seconds, took)
	}
	r.set("recovered", float64(worst))
	r.set("total", float64(o.tasks))
	r.set("seconds", seconds)
	return nil
}

// awaitNoContainers waits until the slave has removed what it keeps of each container, so that nothing runs any more.
func awaitNoContainers(ctx context.Context, dir string) error {
	for {
		left, err := filepath.Glob(filepath.Join(strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`).Replace(dir), "run", "*", "run"))
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d containers are left: %w", len(left), context.Cause(ctx))
		}
	}
}
