package transport

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/offer"
)

func TestWhoSaysNothingOrTooSlowlyIsToldAndClosed(t *testing.T) {
	for name, c := range map[string]struct {
		send  func(w io.Writer)
		after time.Duration
		want  string
	}{
		"not a byte":         {func(io.Writer) {}, 10 * time.Second, "the first message did not come within 10s"},
		"a part of a head":   {func(w io.Writer) { _, _ = w.Write([]byte{0, 0}) }, 10 * time.Second, "the first message did not come within 10s"},
		"a head and no more": {func(w io.Writer) { _, _ = w.Write([]byte{0, 0, 0, 100, frameBatch}) }, 5 * time.Second, "a frame of 100 bytes did not come within 5s"},
		"a byte a second": {func(w io.Writer) {
			_, _ = w.Write([]byte{0, 0x40, 0, 0, frameBatch})
			for {
				if _, err := w.Write([]byte{0xc0}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 85 * time.Second, "a frame of 4194304 bytes did not come within 1m20s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memtransport.New()
				ln, err := n.Listen(t.Context(), "a:1")
				require.NoError(t, err)
				defer ln.Close()
				peer, err := n.Dial(t.Context(), "a:1")
				require.NoError(t, err)
				nc, err := ln.Accept()
				require.NoError(t, err)
				conn := NewConn(nc, ConnConfig{HelloTimeout: 10 * time.Second, FrameTimeout: 5 * time.Second})
				defer conn.Close()
				go c.send(peer)
				begin := time.Now()
				_, err = conn.Receive(nil)
				require.ErrorIs(t, err, &offer.Refusal{Reason: offer.ReasonLimitReached})
				require.ErrorContains(t, err, c.want)
				require.LessOrEqual(t, time.Since(begin), c.after)
				other := NewConn(peer, ConnConfig{})
				_, err = other.Receive(nil)
				require.ErrorIs(t, err, &offer.Refusal{Reason: offer.ReasonLimitReached}, "the peer is told")
				other.Close()
				time.Sleep(2 * time.Second) // the sender notices
			})
		})
	}
}

func TestAfterTheFirstMessageSilenceIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		ln, err := n.Listen(t.Context(), "a:1")
		require.NoError(t, err)
		defer ln.Close()
		nc, err := n.Dial(t.Context(), "a:1")
		require.NoError(t, err)
		peer := NewConn(nc, ConnConfig{})
		defer peer.Close()
		nc, err = ln.Accept()
		require.NoError(t, err)
		conn := NewConn(nc, ConnConfig{HelloTimeout: time.Second, FrameTimeout: time.Second})
		defer conn.Close()
		for range 3 {
			require.NoError(t, peer.Send(message.Envelope{Message: &message.FromExecutor{Data: make([]byte, 1<<20)}}))
			_, err = conn.Receive(nil)
			require.NoError(t, err)
			time.Sleep(time.Hour)
		}
	})
}
