package raft

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

func TestThreeMastersElectOneAndAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		m, term := w.leader(w.nodes...)
		require.EqualValues(t, 1, term.Reign())
		var wg sync.WaitGroup
		var want []string
		var indexes []uint64
		for i := range 1000 {
			wg.Add(1)
			want = append(want, fmt.Sprint(i))
			term.Propose(fmt.Append(nil, i), func(index uint64, result any, err error) {
				if err == nil && result == i+1 {
					indexes = append(indexes, index)
				}
				wg.Done()
			})
		}
		wg.Wait()
		require.Len(t, indexes, 1000)
		require.IsIncreasing(t, indexes)
		w.settle(strings.Join(want, "\n"), w.nodes...)
		for _, n := range w.nodes {
			leader, ok := n.Leader()
			require.True(t, ok)
			require.Equal(t, election.Peer{ID: DeriveID(m.addr), Address: m.addr}, leader)
		}
		_, err := propose(term, strings.Repeat("x", election.MaxEntry+1))
		require.ErrorIs(t, err, election.ErrTooLarge)
		_, err = propose(term, strings.Repeat("x", election.MaxEntry))
		require.NoError(t, err)
		w.close()
		<-term.Done()
		_, err = propose(term, "late")
		require.ErrorIs(t, err, election.ErrDeposed)
	})
}
