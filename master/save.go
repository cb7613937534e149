package master

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/wire"
)

// What is left out when a saved registry is taken up: more than a cluster goes on by from one copy to the next. A core has a place for each id.
const (
	skippedReigns     = 1 << 20
	skippedSlaves     = 1 << 14
	skippedFrameworks = 1 << 18
)

// Save writes the registry to w as election.OpenSaved reads it, with everything that was committed before the call. It is made on the leader:
// elsewhere, and on one that is deposed meanwhile, it is refused with offer.ReasonNotLeader.
func (m *Master) Save(ctx context.Context, w io.Writer) error {
	r := m.current.Load()
	if r == nil {
		return fmt.Errorf("master: save the registry: %w", m.notLeading())
	}
	// An entry that changes nothing: once it is committed, this master has led until then.
	if err := m.commit(ctx, r, randomKey(), &registry.Confirm{}); err != nil {
		return fmt.Errorf("master: save the registry: %w", err)
	}
	view, index := m.fsm.at()
	head := view.Header()
	about := election.Saved{Cluster: m.cfg.ClusterName, ClusterID: string(head.Cluster), Reign: head.Reign, Index: index, Taken: m.clock()().UTC().Round(0)}
	return election.WriteSaved(w, about, snapshot{view})
}

// commit writes one command of the shell's own in the reign r, beside those of its core.
func (m *Master) commit(ctx context.Context, r *reign, key registry.Key, op registry.Op) error {
	entry, err := wire.AppendEntry(nil, registry.Entry{Reign: r.term.Reign(), Commands: []registry.Command{{Key: key, Op: op}}})
	if err != nil {
		return err
	}
	type answer struct {
		results []registry.Result
		err     error
	}
	done := make(chan answer, 1)
	r.term.Propose(entry, func(_ uint64, result any, err error) {
		results, _ := result.([]registry.Result)
		done <- answer{results, err}
	})
	select {
	case a := <-done:
		switch {
		case a.err != nil || len(a.results) != 1:
			return m.notLeading()
		case a.results[0].Err != nil:
			return a.results[0].Err
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the outcome is unknown: %w", ctx.Err())
	}
}

// TakeUp reads a registry that Save wrote, for a log that is to begin with it. The cluster keeps its identity; reigns and ids go on above all
// that the saved cluster can have handed out since, so that slaves believe the new masters, and one that was admitted after the registry was
// saved comes back under its id. It refuses what a later program has written.
func TakeUp(saved *election.SavedFile) (election.Snapshot, error) {
	state, err := registry.Import(wire.ReadSnapshot(bufio.NewReaderSize(saved.State(), 64<<10)))
	if err != nil {
		return nil, fmt.Errorf("master: take up the registry: %w", err)
	}
	head := state.View().Header()
	switch {
	case string(head.Cluster) != saved.ClusterID || head.Reign != saved.Reign:
		return nil, fmt.Errorf("master: take up the registry: it is of cluster %q in reign %d, its heading says %q in reign %d",
			head.Cluster, head.Reign, saved.ClusterID, saved.Reign)
	case head.Level > featureLevel:
		return nil, fmt.Errorf("master: take up the registry: it was written by a program of level %d, this one has %d: use a later one", head.Level, featureLevel)
	}
	state.Skip(skippedReigns, skippedSlaves, skippedFrameworks)
	return snapshot{state.View()}, nil
}
