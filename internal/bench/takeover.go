package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/meros-project/meros/internal/zkserver"
)

func takeoverBenchmark() benchmark {
	return benchmark{
		name:  "election/failover",
		what:  "kill -9 of the leader to the next committed write, of three electors by themselves at default settings; and its disk hung instead",
		goals: []goal{{key: "raft_p99_ms", most: true, limit: 1500}, {key: "hung_disk_ms", most: true, limit: 10_000}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o takeoverOptions
			fs.IntVar(&o.rounds, "rounds", 100, "how often the leader on Raft is killed")
			fs.IntVar(&o.zookeeper, "zookeeper", 100, "how often the leader on ZooKeeper is killed; each takes a session's 10 s")
			fs.IntVar(&o.hung, "hung", 3, "how often the disk of the leader on Raft hangs; needs root")
			fs.DurationVar(&o.patience, "patience", 30*time.Second, "for plain hashicorp/raft, whose leader's disk hangs")
			fs.Uint64Var(&o.seed, "seed", 1, "of the moments at which the leader is killed")
			return o.run
		},
	}
}

type takeoverOptions struct {
	rounds, zookeeper, hung int
	patience                time.Duration
	seed                    uint64
}

func (o *takeoverOptions) run(ctx context.Context, r *report) error {
	for _, err := range []error{atLeast("rounds", o.rounds, 1), atLeast("zookeeper", o.zookeeper, 0), atLeast("hung", o.hung, 0)} {
		if err != nil {
			return err
		}
	}
	took, err := o.kills(ctx, r, "raft", "", o.rounds)
	if err != nil {
		return fmt.Errorf("raft: %w", err)
	}
	r.set("raft_p50_ms", milliseconds(median(took)))
	r.set("raft_p99_ms", milliseconds(quantile(took, 0.99)))
	if err := o.zookeeperKills(ctx, r); err != nil {
		return fmt.Errorf("zookeeper: %w", err)
	}
	if err := o.hungDisks(ctx, r); err != nil {
		return fmt.Errorf("hung disk: %w", err)
	}
	return nil
}

// zookeeperKills measures on an ensemble of three servers, or says why it does not.
func (o *takeoverOptions) zookeeperKills(ctx context.Context, r *report) (err error) {
	if o.zookeeper == 0 {
		return nil
	}
	if err := zkserver.Missing(); err != nil {
		r.print("zookeeper: not measured: %v", err)
		return nil
	}
	dir, err := os.MkdirTemp("", "meros-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := zkserver.Start(zkserver.Options{Dir: dir, Servers: 3})
	if err != nil {
		return err
	}
	defer zkserver.Close(servers)
	took, err := o.kills(ctx, r, "zookeeper", zkserver.URL(servers, "/bench"), o.zookeeper)
	if err != nil {
		return err
	}
	r.set("zookeeper_p50_ms", milliseconds(median(took)))
	r.set("zookeeper_p99_ms", milliseconds(quantile(took, 0.99)))
	return nil
}

// kills kills the leader of three electors, in processes of their own, again and again.
func (o *takeoverOptions) kills(ctx context.Context, r *report, what, ensemble string, rounds int) (took []time.Duration, err error) {
	dir, err := os.MkdirTemp("", "meros-bench-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c, err := startChildren(dir, r, 3)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	for i := range c.specs {
		c.specs[i].Alone, c.specs[i].Ensemble = true, ensemble
		if err := os.Mkdir(c.specs[i].Dir, 0o700); err != nil {
			return nil, err
		}
		if err := c.start(i); err != nil {
			return nil, err
		}
	}
	leader, err := c.await(ctx)
	if err != nil {
		return nil, err
	}
	for range c.specs {
		if err := c.awaitFollows(ctx); err != nil {
			return nil, err
		}
	}
	rnd := rand.New(rand.NewPCG(o.seed, 2))
	for i := range rounds {
		sleep(ctx, time.Duration(rnd.Int64N(int64(300*time.Millisecond)))) // so that no round meets the same phase of heartbeats
		if err := c.poll(); err != nil {
			return nil, err
		}
		leader = c.last
		killed, err := c.kill(leader.child)
		if err != nil {
			return nil, err
		}
		next, err := c.await(ctx)
		for err == nil && (next.child == leader.child || next.at.Before(killed)) {
			next, err = c.await(ctx) // what the victim has still said
		}
		if err != nil {
			return nil, err
		}
		took = append(took, next.at.Sub(killed))
		r.say("%s: round %d: %.0f ms", what, i+1, milliseconds(took[i]))
		c.bury(leader.child)
		if err := c.start(leader.child); err != nil {
			return nil, err
		}
		if err := c.awaitFollows(ctx); err != nil {
			return nil, err
		}
	}
	r.print("%s: kill to committed write: p50 %.0f ms, p99 %.0f ms, most %.0f ms, in %d rounds", what, milliseconds(median(took)),
		milliseconds(quantile(took, 0.99)), milliseconds(quantile(took, 1)), rounds)
	return took, nil
}

// awaitFollows waits until a child that was started knows who leads.
func (c *children) awaitFollows(ctx context.Context) error {
	for c.following == 0 {
		select {
		case n := <-c.news:
			if err := c.count(n); err != nil {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("no follower: %w", context.Cause(ctx))
		}
	}
	c.following--
	return nil
}

// soloDirs are the folders of n electors below dir.
func soloDirs(dir string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, filepath.Join(dir, fmt.Sprintf("disk-%d", i)))
	}
	return out
}
