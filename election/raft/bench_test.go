package raft

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

// freeAddresses returns loopback addresses that nobody listens on.
func freeAddresses(t testing.TB, n int) []string {
	var addresses []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer ln.Close()
		addresses = append(addresses, ln.Addr().String())
	}
	return addresses
}

// Three masters on loopback TCP and bbolt with fsync; entries of 1 KiB, as batches of registry writes are.
func BenchmarkPropose(b *testing.B) {
	addresses := freeAddresses(b, 3)
	var peers []election.Peer
	for _, a := range addresses {
		peers = append(peers, election.Peer{Address: a})
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	terms := make(chan election.Term, 16)
	var wg sync.WaitGroup
	for _, a := range addresses {
		e, err := New(Config{Dir: b.TempDir(), Bootstrap: peers})
		require.NoError(b, err)
		ln, err := net.Listen("tcp", a)
		require.NoError(b, err)
		wg.Go(func() {
			_ = e.Run(ctx, election.Env{StateMachine: &ledger{}, Opening: func() []byte { return []byte(openingEntry) }, Advertise: a,
				Listener: ln, Dial: tcpDial})
		})
		wg.Go(func() {
			for t := range e.Terms() {
				terms <- t
			}
		})
	}
	term := <-terms
	entry := []byte(strings.Repeat("x", 1024))
	var all sync.WaitGroup
	failed := 0
	flight := make(chan struct{}, 512)
	for b.Loop() {
		all.Add(1)
		flight <- struct{}{}
		term.Propose(slices.Clone(entry), func(_ uint64, _ any, err error) {
			if err != nil {
				failed++
			}
			<-flight
			all.Done()
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	require.Zero(b, failed)
	require.Empty(b, terms) // nobody else was elected meanwhile
	cancel()
	wg.Wait()
}

// From SIGKILL of the leading process to the first entry that the next one has committed, at default timeouts.
func BenchmarkFailover(b *testing.B) {
	var took []time.Duration
	f := startFleet(b, freeAddresses(b, 3), false)
	leader := f.lead(1)
	for b.Loop() {
		killed := time.Now()
		f.kill(leader)
		next := f.lead(1)
		took = append(took, time.Since(killed))
		f.restart(leader)
		leader = next
		for settled := time.After(2 * time.Second); settled != nil; {
			select {
			case r := <-f.reports:
				require.NotEqual(b, "lead", r.words[0], "a false election")
			case <-settled:
				settled = nil
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
}
