// Command cluster is a whole cluster on one machine: three masters and three slaves, each a process of its own, with real TCP, an election
// on disk and real commands. Half-way it kills the leading master with SIGKILL, and at the end it shows that nothing was lost.
//
//	go run ./examples/cluster [-jobs FILE] [-dir FOLDER]
package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/slave"
)

//go:embed jobs.txt
var defaultJobs string

const masters, slaves = 3, 3

func main() {
	slave.Supervise(nil) // does not return in the processes that watch over the tasks
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], childArgument) {
		runChild(strings.TrimPrefix(os.Args[1], childArgument))
		return
	}
	jobs := flag.String("jobs", "", "`file` with one command a line, for sh -c; the default compresses the packages of Go's standard library")
	dir := flag.String("dir", "", "data `folder`; the default is a temporary one, removed after a run without a fault")
	timeout := flag.Duration("timeout", 5*time.Minute, "give up after this `time`")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "cluster: argument %q: none is allowed, see -help\n", flag.Arg(0))
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("no end after %v", *timeout))
	defer cancel()
	ok, err := run(ctx, *jobs, *dir, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run is the story: start, run the jobs, kill the leader half-way, judge.
func run(ctx context.Context, jobFile, dir string, out io.Writer) (ok bool, err error) {
	jobs, err := readJobs(jobFile)
	if err != nil {
		return false, err
	}
	temporary := dir == ""
	if temporary {
		if dir, err = os.MkdirTemp("", "meros-cluster-"); err != nil {
			return false, err
		}
		defer func() {
			if ok {
				os.RemoveAll(dir)
			} else {
				fmt.Fprintln(out, "the logs of all processes are in", dir)
			}
		}()
	}
	audit, err := filepath.Abs(filepath.Join(dir, "audit"))
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(audit, 0o777); err != nil {
		return false, err
	}
	// Slaves that run as root run their tasks as nobody, who must be able to write here too.
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(audit, 0o777|os.ModeSticky)); err != nil {
		return false, err
	}
	if os.Getenv("GOROOT") == "" {
		if root, err := exec.Command("go", "env", "GOROOT").Output(); err == nil {
			os.Setenv("GOROOT", strings.TrimSpace(string(root)))
		}
	}

	nodes, err := start(dir)
	defer nodes.stop()
	if err != nil {
		return false, err
	}

	work := newBatch(jobs, audit)
	session, err := framework.New(framework.Config{Name: "batch", Masters: nodes.masterAddresses(), FailoverTimeout: time.Minute}, work)
	if err != nil {
		return false, err
	}
	ended := make(chan error, 1)
	sessionCtx, endSession := context.WithCancel(ctx)
	defer endSession()
	go func() { ended <- session.Run(sessionCtx) }()
	select {
	case <-session.Ready():
	case err := <-ended:
		return false, fmt.Errorf("the framework could not subscribe: %w", cmpErr(err, context.Cause(ctx)))
	}
	leader, _ := session.Master()
	fmt.Fprintf(out, "leader   %s, one of %d masters\n", leader.Address, masters)
	fmt.Fprintf(out, "slaves   %d, each with %s\n", slaves, slaveResources)
	fmt.Fprintf(out, "masters  %s\n", strings.Join(nodes.masterAddresses(), " "))
	fmt.Fprintf(out, "data     %s\n", dir)
	fmt.Fprintf(out, "plan     run %d jobs, kill the leader with SIGKILL half-way, count what is left\n", len(jobs))
	fmt.Fprintf(out, "next     go run ./examples/cluster -jobs FILE, with a command of yours on each line\n")

	if err := follow(ctx, work, nodes, session, ended, out); err != nil {
		return false, err
	}
	verdict := work.judge()
	work.table(out)
	if err := session.Teardown(); err != nil {
		return false, err
	}
	if err := <-ended; err != nil {
		return false, err
	}
	for _, name := range verdict.lost {
		fmt.Fprintln(out, "lost:      ", name)
	}
	for _, name := range verdict.duplicated {
		fmt.Fprintln(out, "duplicated:", name)
	}
	fmt.Fprintln(out, verdict)
	return verdict.ok(), nil
}

// follow shows progress until every job has a result, and kills the leader when half of them have.
func follow(ctx context.Context, work *batch, nodes *processes, session *framework.Session, ended <-chan error, out io.Writer) error {
	killed, begun := false, time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	shown := time.Now()
	for {
		done, running, waiting, failover := work.progress()
		if time.Since(shown) >= time.Second {
			shown = time.Now()
			fmt.Fprintf(out, "%4.0f s   %d of %d done, %d running, %d waiting\n", time.Since(begun).Seconds(), done, len(work.jobs), running, waiting)
		}
		if !killed && 2*done >= len(work.jobs) {
			leader, known := session.Master()
			if known {
				killed = true
				work.killing()
				if err := nodes.kill(leader.Address); err != nil {
					return err
				}
				fmt.Fprintf(out, "killed   %s with %d of %d jobs done\n", leader.Address, done, len(work.jobs))
			}
		}
		if done == len(work.jobs) && killed && failover > 0 {
			return nil
		}
		if done == len(work.jobs) && killed {
			// All jobs had been handed out when the leader died: ask for an offer, to see that the new one makes them.
			_ = session.Revive()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stopped with %d of %d jobs done: %w", done, len(work.jobs), context.Cause(ctx))
		case err := <-ended:
			return fmt.Errorf("the framework's session ended: %w", cmpErr(err, errors.New("without a reason")))
		case err := <-nodes.died:
			return err
		case <-work.changed:
		case <-tick.C:
		}
	}
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func readJobs(file string) ([]*job, error) {
	var in io.Reader = strings.NewReader(defaultJobs)
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var jobs []*job
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line != "" && !strings.HasPrefix(line, "#") {
			jobs = append(jobs, &job{name: fmt.Sprintf("job-%d", len(jobs)+1), command: line})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("%s: no jobs: write one command a line", file)
	}
	return jobs, nil
}

// table prints what became of each job: the slowest few, and every one that did not finish at its first try.
func (b *batch) table(out io.Writer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	const most = 12
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "JOB\tSLAVE\tTRIES\tTIME\tRESULT\tOUTPUT")
	shown := 0
	for _, j := range b.jobs {
		odd := j.state != offer.Finished || j.tries > 1
		if !odd && shown >= most {
			continue
		}
		shown++
		output := j.output
		if len(output) > 40 {
			output = output[:40] + "..."
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%v\t%s, %s\t%s\n", j.name, j.host, j.tries, j.took.Round(time.Millisecond), j.state, j.exit, output)
	}
	w.Flush()
	if rest := len(b.jobs) - shown; rest > 0 {
		fmt.Fprintf(out, "and %d more, finished at the first try\n", rest)
	}
}
