package transport

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
)

// BenchmarkOneWay sends small messages one way in groups of 64, as a loop does that performs the effects of a step.
func BenchmarkOneWay(b *testing.B) {
	ca := newAuthority(b)
	for _, c := range []struct {
		name      string
		network   Network
		secure    bool
		unbatched bool
	}{
		{"tcp", TCP(), false, false}, {"tls", TCP(), true, false}, {"memory", memtransport.New(), false, false},
		{"tcp-unbatched", TCP(), false, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg, d := MuxConfig{}, Dialer{Network: c.network}
			if c.secure {
				cfg.TLS, d.TLS = ca.config(b, "m"), ca.config(b, "s")
			}
			ln, err := c.network.Listen(context.Background(), "127.0.0.1:0")
			require.NoError(b, err)
			m := NewMux(ln, cfg)
			nodes := m.Listener(Node)
			go func() { _ = m.Run(context.Background()) }()
			defer m.Close()
			nc, err := d.Dial(context.Background(), m.Addr().String(), Node)
			require.NoError(b, err)
			accepted, err := nodes.Accept()
			require.NoError(b, err)
			x, y := NewConn(nc, ConnConfig{Unbatched: c.unbatched}), NewConn(accepted, ConnConfig{})
			defer y.Close()
			defer x.Close()
			const group, ahead = 64, 512 // groups that may be under way
			credit := make(chan struct{}, ahead)
			var envs []message.Envelope
			for i := range group {
				envs = append(envs, ack(i))
			}
			done := make(chan error, 1)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for got, total := 0, b.N*group; got < total; {
					in, err := y.Receive(nil)
					if err != nil {
						done <- err
						return
					}
					for range (got+len(in))/group - got/group {
						<-credit
					}
					got += len(in)
				}
				done <- nil
			}()
			for range b.N {
				credit <- struct{}{}
				if err := x.Send(envs...); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, <-done)
			b.ReportMetric(float64(b.N*group)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// BenchmarkPingPong is one message to and fro.
func BenchmarkPingPong(b *testing.B) {
	a, c := ends(b, TCP(), "127.0.0.1:0")
	x, y := NewConn(a, ConnConfig{}), NewConn(c, ConnConfig{})
	defer x.Close()
	go func() {
		defer y.Close()
		for {
			in, err := y.Receive(nil)
			if err != nil {
				return
			}
			_ = y.Send(in...)
		}
	}()
	for b.Loop() {
		_ = x.Send(ack(1))
		if _, err := x.Receive(nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIdle reports what a connection costs that has been used once and is now quiet, one end of it.
func BenchmarkIdle(b *testing.B) {
	n := memtransport.New()
	ln, err := n.Listen(context.Background(), "b:1")
	require.NoError(b, err)
	defer ln.Close()
	const count = 1000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var conns []*Conn
		for range count {
			x, err := n.Dial(context.Background(), "b:1")
			require.NoError(b, err)
			y, err := ln.Accept()
			require.NoError(b, err)
			pair := []*Conn{NewConn(x, ConnConfig{}), NewConn(y, ConnConfig{})}
			require.NoError(b, pair[0].Send(ack(1)))
			_, err = pair[1].Receive(nil)
			require.NoError(b, err)
			conns = append(conns, pair...)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(len(conns)), "B/conn")
		for _, c := range conns {
			_ = c.Close()
		}
	}
}
