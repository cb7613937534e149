package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/internal/plainraft"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer/resource"
)

func commitBenchmark() benchmark {
	return benchmark{
		name:  "raft/commit",
		what:  "registry writes a second of three masters, each proposer waiting for its last one, against plain hashicorp/raft in the same run",
		goals: []goal{{key: "ratio", limit: 3}, {key: "single_ratio", limit: 1}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o commitOptions
			fs.IntVar(&o.rounds, "rounds", 3, "measurements of each; the figures are of the medians")
			fs.DurationVar(&o.time, "time", 4*time.Second, "of each measurement")
			fs.StringVar(&o.dir, "dir", "", "folder on the disk that is written to; default: where temporary files are")
			return o.run
		},
	}
}

type commitOptions struct {
	rounds int
	time   time.Duration
	dir    string
}

// A registryWorld is three masters and three plain nodes, on the same disk. A write at the masters is an operator's change of a role's
// weight, with all that the master does for it; a write at the plain nodes is the same entry, and its state machine counts.
type registryWorld struct {
	dir     string
	masters *masters
	plain   []*plainraft.Node
}

func startRegistry(ctx context.Context, dir string, r *report) (w *registryWorld, err error) {
	w = &registryWorld{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if w.dir, err = os.MkdirTemp(dir, "meros-bench-"); err != nil {
		return w, err
	}
	if w.masters, err = startMasters(ctx, w.dir, 3, r.logger(), network{}.listener); err != nil {
		return w, err
	}
	var dirs []string
	for i := range 3 {
		dirs = append(dirs, filepath.Join(w.dir, fmt.Sprintf("plain-%d", i)))
		if err := os.Mkdir(dirs[i], 0o700); err != nil {
			return w, err
		}
	}
	w.plain, err = plainraft.Start(dirs)
	return w, err
}

func (w *registryWorld) stop() error {
	var errs []error
	if w.masters != nil {
		errs = append(errs, w.masters.stop())
	}
	errs = append(errs, plainraft.Stop(w.plain))
	return errors.Join(append(errs, os.RemoveAll(w.dir))...)
}

// write is one registry write: the n-th of proposer i. It fails if nobody leads just now.
func (w *registryWorld) write(ctx context.Context, i, n int) error {
	at := slices.IndexFunc(w.masters.nodes, func(m *master.Master) bool { _, leads := m.Leading(); return leads })
	if at < 0 {
		return errNobodyLeads
	}
	return w.masters.nodes[at].SetWeight(ctx, fmt.Sprintf("p-%d", i), resource.Units(int64(1+n%2)))
}

func (w *registryWorld) writePlain(_ context.Context, i, n int) error {
	at := slices.IndexFunc(w.plain, (*plainraft.Node).Leads)
	if at < 0 {
		return errNobodyLeads
	}
	weight := resource.Units(int64(1 + n%2))
	entry, err := wire.AppendEntry(nil, registry.Entry{Reign: 1, Commands: []registry.Command{
		{Key: registry.Key{byte(i), byte(i >> 8), byte(n), byte(n >> 8)}, Op: &registry.SetRole{Role: fmt.Sprintf("p-%d", i), Weight: &weight}}}})
	if err != nil {
		return err
	}
	return w.plain[at].Apply(entry)
}

var errNobodyLeads = errors.New("nobody leads")

const proposePause = 20 * time.Millisecond // before a write that failed is tried again, since there may be an election

// writesPerSecond lets proposers write for a while, each as soon as its last write is committed.
func writesPerSecond(ctx context.Context, proposers int, d time.Duration, write func(ctx context.Context, i, n int) error) (float64, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d+time.Minute, errors.New("no write in a minute"))
	defer cancel()
	var (
		all       sync.WaitGroup
		committed atomic.Int64
		failed    atomic.Pointer[error]
	)
	begun := time.Now()
	for i := range proposers {
		all.Go(func() {
			for n := 0; time.Since(begun) < d; n++ {
				err := write(ctx, i, n)
				for ; err != nil && ctx.Err() == nil; err = write(ctx, i, n) {
					sleep(ctx, proposePause)
				}
				if err != nil {
					err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
					failed.Store(&err)
					return
				}
				committed.Add(1)
			}
		})
	}
	all.Wait()
	took := time.Since(begun)
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(committed.Load()) / took.Seconds(), nil
}

func (o *commitOptions) run(ctx context.Context, r *report) (err error) {
	if err := atLeast("rounds", o.rounds, 1); err != nil {
		return err
	}
	w, err := startRegistry(ctx, o.dir, r)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	counts := []int{1, 100, 1000}
	ours, plain := map[int][]float64{}, map[int][]float64{}
	for round := range o.rounds {
		for _, n := range counts {
			sides := []struct {
				to    map[int][]float64
				write func(context.Context, int, int) error
			}{{plain, w.writePlain}, {ours, w.write}}
			if round%2 == 1 {
				slices.Reverse(sides)
			}
			for _, side := range sides {
				perS, err := writesPerSecond(ctx, n, o.time, side.write)
				if err != nil {
					return fmt.Errorf("%d proposers: %w", n, err)
				}
				side.to[n] = append(side.to[n], perS)
			}
			r.say("round %d, %d proposers: %.0f/s, plain %.0f/s", round+1, n, ours[n][round], plain[n][round])
		}
	}
	ratio := map[int]float64{}
	for _, n := range counts {
		ratio[n] = median(ours[n]) / median(plain[n])
		r.print("%d proposers: %.0f writes/s, plain hashicorp/raft %.0f/s, ratio %.2f", n, median(ours[n]), median(plain[n]), ratio[n])
	}
	r.set("per_s", median(ours[1000]))
	r.set("plain_per_s", median(plain[1000]))
	r.set("ratio", min(ratio[100], ratio[1000]))
	r.set("single_ratio", ratio[1])
	return nil
}
