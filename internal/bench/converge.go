package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/election/discovery"
)

func convergeBenchmark() benchmark {
	return benchmark{
		name:  "discovery/converge",
		what:  "members that join the gossip in one moment until each sees all, and a member killed with SIGKILL until all have noticed",
		goals: []goal{{key: "joined_s", most: true, limit: 5}, {key: "noticed_s", most: true, limit: 10}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o convergeOptions
			fs.IntVar(&o.nodes, "nodes", 100, "members, all but one of them in this process")
			fs.IntVar(&o.rounds, "rounds", 5, "how often one is killed")
			fs.DurationVar(&o.quiet, "quiet", 10*time.Second, "how long nothing happens, while false suspicions are counted")
			fs.DurationVar(&o.load, "load", 20*time.Second, "how long all cores are kept busy, while false suspicions are counted")
			return o.run
		},
	}
}

type convergeOptions struct {
	nodes, rounds int
	quiet, load   time.Duration
}

// gossipVariable, when set, makes this program one member of the gossip until it is killed: its value is a discovery.Config.
const gossipVariable = "MEROS_BENCH_GOSSIP"

func gossipMain() int {
	var cfg discovery.Config
	err := json.Unmarshal([]byte(os.Getenv(gossipVariable)), &cfg)
	var g *discovery.Gossip
	if err == nil {
		g, err = discovery.New(cfg)
	}
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone
			cancel()
		}()
		err = g.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: gossip:", err)
		return 1
	}
	return 0
}

// A victim is a member in a process of its own.
type victim struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
}

func startVictim(cfg discovery.Config) (*victim, error) {
	text, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	v := &victim{name: cfg.Name, cmd: exec.Command(self)}
	v.cmd.Env = append(os.Environ(), gossipVariable+"="+string(text))
	v.cmd.Stderr = os.Stderr
	if v.stdin, err = v.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return v, v.cmd.Start()
}

func (v *victim) kill() time.Time {
	at := time.Now()
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait() // says that it was killed
	return at
}

// An audience is the members of this process, and what each of them sees.
type audience struct {
	mu        sync.Mutex
	changed   chan struct{}
	alive     []map[string]time.Time // of each member: whom it sees, since when
	gone      []map[string]time.Time // and whom it saw go
	dead      map[string]bool        // who was killed
	suspected int                    // of members that were not killed, by members of this process
	failed    int                    // likewise, given up
}

func (a *audience) note(i int, e discovery.Event) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	switch e.Kind {
	case discovery.Resync:
		for _, m := range e.Members {
			if _, known := a.alive[i][m.Name]; m.State == discovery.Alive && !known {
				a.alive[i][m.Name] = now
			}
		}
	case discovery.Joined:
		a.alive[i][e.Member.Name] = now
	case discovery.Gone:
		delete(a.alive[i], e.Member.Name)
		a.gone[i][e.Member.Name] = now
		if !a.dead[e.Member.Name] && e.Member.State == discovery.Failed {
			a.failed++
		}
	default:
		return
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

// await waits until every member's view is as it should be, and returns when the last one came to it.
func (a *audience) await(ctx context.Context, what string, view func(alive, gone map[string]time.Time) (time.Time, bool)) (last time.Time, err error) {
	for {
		a.mu.Lock()
		changed, missing := a.changed, 0
		last = time.Time{}
		for i := range a.alive {
			at, ok := view(a.alive[i], a.gone[i])
			if !ok {
				missing++
			}
			if at.After(last) {
				last = at
			}
		}
		a.mu.Unlock()
		if missing == 0 {
			return last, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return last, fmt.Errorf("%s: %d of %d do not see it: %w", what, missing, len(a.alive), context.Cause(ctx))
		}
	}
}

// all is the view in which n members are there.
func all(n int) func(alive, _ map[string]time.Time) (time.Time, bool) {
	return func(alive, _ map[string]time.Time) (last time.Time, ok bool) {
		for at := range maps.Values(alive) {
			if at.After(last) {
				last = at
			}
		}
		return last, len(alive) == n
	}
}

// Enabled implements slog.Handler: the members' logs are read for their suspicions.
func (a *audience) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (a *audience) Handle(_ context.Context, r slog.Record) error {
	_, of, ok := strings.Cut(r.Message, "Suspect ")
	if name, _, has := strings.Cut(of, " has failed"); ok && has {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.dead[name] {
			a.suspected++
		}
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (a *audience) WithAttrs([]slog.Attr) slog.Handler { return a }

// WithGroup implements slog.Handler.
func (a *audience) WithGroup(string) slog.Handler { return a }

// A convergence is one run.
type convergence struct {
	*audience
	o      *convergeOptions
	wg     sync.WaitGroup
	victim *victim
	seed   string

	ends sync.Mutex
	errs []error
}

func (c *convergence) config(name, join string) discovery.Config {
	cfg := discovery.Config{Name: name, Bind: "127.0.0.1:0", Key: []byte("0123456789abcdef0123456789abcdef"), Cluster: "bench",
		Tags: map[string]string{discovery.TagRole: "slave", discovery.TagAddress: name + ":5051", discovery.TagVersion: "bench"}}
	if join != "" {
		cfg.Join = []string{join}
	}
	return cfg
}

// start starts member i and returns it.
func (c *convergence) start(ctx context.Context, i int) (*discovery.Gossip, error) {
	cfg := c.config(fmt.Sprintf("n-%03d", i), c.seed)
	cfg.Logger = slog.New(c.audience)
	g, err := discovery.New(cfg)
	if err != nil {
		return nil, err
	}
	watcher := g.Watch()
	c.wg.Go(func() {
		defer watcher.Close()
		for {
			e, err := watcher.Next(ctx)
			if err != nil {
				return
			}
			c.note(i, e)
		}
	})
	c.wg.Go(func() {
		if err := g.Run(ctx); err != nil {
			c.ends.Lock()
			defer c.ends.Unlock()
			c.errs = append(c.errs, err)
		}
	})
	return g, nil
}

func (c *convergence) stop(cancel func()) error {
	if c.victim != nil {
		c.victim.kill()
	}
	cancel()
	c.wg.Wait()
	return errors.Join(c.errs...)
}

// counts tells how many were suspected and given up wrongly so far.
func (a *audience) counts() (suspected, failed int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.suspected, a.failed
}

func (o *convergeOptions) run(ctx context.Context, r *report) (err error) {
	for _, err := range []error{atLeast("nodes", o.nodes, 3), atLeast("rounds", o.rounds, 1)} {
		if err != nil {
			return err
		}
	}
	c := &convergence{o: o, audience: &audience{changed: make(chan struct{}), dead: map[string]bool{}}}
	for range o.nodes - 1 {
		c.alive, c.gone = append(c.alive, map[string]time.Time{}), append(c.gone, map[string]time.Time{})
	}
	run, cancel := context.WithCancel(ctx)
	defer func() { err = errors.Join(err, c.stop(cancel)) }()
	limited := func() (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("no result in three minutes"))
	}
	wait, done := limited()
	defer done()
	first, err := c.start(run, 0)
	if err != nil {
		return err
	}
	select {
	case <-first.Ready():
		c.seed = first.Address()
	case <-wait.Done():
		return context.Cause(wait)
	}
	begun := time.Now()
	for i := 1; i < o.nodes-1; i++ {
		if _, err := c.start(run, i); err != nil {
			return err
		}
	}
	if c.victim, err = startVictim(c.config("v-0", c.seed)); err != nil {
		return err
	}
	last, err := c.await(wait, "the joining", all(o.nodes))
	if err != nil {
		return err
	}
	r.set("joined_s", last.Sub(begun).Seconds())
	r.say("%d joined in %.2f s", o.nodes, last.Sub(begun).Seconds())
	c.rest(ctx, r)
	noticed, err := c.kills(ctx, r, limited)
	if err != nil {
		return err
	}
	c.underLoad(ctx, r)
	r.set("noticed_s", quantile(noticed, 1).Seconds())
	return nil
}

// rest counts what is wrong while nothing happens, and what the gossip costs.
func (c *convergence) rest(ctx context.Context, r *report) {
	suspected, failed := c.counts()
	cpu, begun := cpuTime(), time.Now()
	sleep(ctx, c.o.quiet)
	used, took := cpuTime()-cpu, time.Since(begun)
	s, f := c.counts()
	r.print("at rest: %.2f ms of CPU a second for each of %d members; %d false suspicions, %d wrongly given up in %v",
		milliseconds(used)/took.Seconds()/float64(c.o.nodes-1), c.o.nodes, s-suspected, f-failed, c.o.quiet)
}

// underLoad keeps all cores busy.
func (c *convergence) underLoad(ctx context.Context, r *report) {
	suspected, failed := c.counts()
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() { burn(ctx, c.o.load) })
	}
	wg.Wait()
	s, f := c.counts()
	r.print("with all %d cores busy for %v: %d false suspicions, %d wrongly given up", runtime.GOMAXPROCS(0), c.o.load, s-suspected, f-failed)
	r.set("false_suspicions", float64(s))
	r.set("false_failures", float64(f))
}

// kills kills one member after the other, each after it has been seen by all.
func (c *convergence) kills(ctx context.Context, r *report, limited func() (context.Context, context.CancelFunc)) (noticed []time.Duration, err error) {
	for i := range c.o.rounds {
		wait, done := limited()
		defer done()
		name := c.victim.name
		c.mu.Lock()
		c.dead[name] = true
		c.mu.Unlock()
		killed := c.victim.kill()
		last, err := c.await(wait, "the death of "+name, func(_, gone map[string]time.Time) (time.Time, bool) {
			at, ok := gone[name]
			return at, ok
		})
		if err != nil {
			return nil, err
		}
		noticed = append(noticed, last.Sub(killed))
		begun := time.Now()
		if c.victim, err = startVictim(c.config(fmt.Sprint("v-", i+1), c.seed)); err != nil {
			return nil, err
		}
		next := c.victim.name
		last, err = c.await(wait, "the arrival of "+next, func(alive, _ map[string]time.Time) (time.Time, bool) {
			at, ok := alive[next]
			return at, ok
		})
		if err != nil {
			return nil, err
		}
		r.say("round %d: noticed by all after %.2f s; one that joins is seen by all after %.2f s", i+1, noticed[i].Seconds(), last.Sub(begun).Seconds())
	}
	r.print("a killed member is noticed by all: p50 %.2f s, most %.2f s, in %d rounds", median(noticed).Seconds(), quantile(noticed, 1).Seconds(), c.o.rounds)
	return noticed, nil
}
