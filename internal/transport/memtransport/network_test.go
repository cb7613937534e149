package memtransport

import (
	"context"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func pipe(t *testing.T, n *Network, from, addr string) (a, b net.Conn) {
	t.Helper()
	ln, err := n.Listen(context.Background(), addr)
	require.NoError(t, err)
	defer ln.Close()
	a, err = n.From(from).Dial(context.Background(), ln.Addr().String())
	require.NoError(t, err)
	b, err = ln.Accept()
	require.NoError(t, err)
	return a, b
}

func TestBytesTravelInOrderThroughABoundedBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		a, b := pipe(t, n, "a", "b:1")
		require.Equal(t, b.RemoteAddr(), a.LocalAddr())
		require.Equal(t, "b:1", a.RemoteAddr().String())
		require.Equal(t, 1, n.Connections())
		sent := make([]byte, 10*bufferSize)
		for i := range sent {
			sent[i] = byte(i / 7)
		}
		written := make(chan int)
		go func() {
			k, _ := a.Write(sent)
			_ = a.(*conn).CloseWrite()
			written <- k
		}()
		synctest.Wait()
		select {
		case <-written:
			t.Fatal("the buffer has no bound")
		default:
		}
		go func() { <-written }()
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		require.Equal(t, sent, got)
		_, err = b.Write([]byte("answer")) // the other direction lives on
		require.NoError(t, err)
		require.NoError(t, b.Close())
		got, err = io.ReadAll(a)
		require.NoError(t, err)
		require.Equal(t, "answer", string(got))
		_, err = a.Write([]byte("x"))
		require.Error(t, err)
		require.NoError(t, a.Close())
		require.ErrorIs(t, a.Close(), net.ErrClosed)
		require.Zero(t, n.Connections())
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(t, New(), "a", "b:1")
		began := time.Now()
		require.NoError(t, a.SetReadDeadline(began.Add(time.Second)))
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.True(t, err.(net.Error).Timeout())
		require.Equal(t, time.Second, time.Since(began))
		require.NoError(t, a.SetDeadline(time.Now().Add(time.Minute)))
		k, err := a.Write(make([]byte, 2*bufferSize))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, bufferSize, k)
		require.Equal(t, time.Minute+time.Second, time.Since(began))
		require.NoError(t, a.SetDeadline(time.Time{}))
		time.AfterFunc(time.Hour, func() { _ = a.SetReadDeadline(time.Now()) }) // wakes a reader that waits already
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, a.SetReadDeadline(time.Time{}))
		time.AfterFunc(time.Hour, func() { _ = a.Close() })
		_, err = a.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		_ = b.Close()
	})
}

func TestACutHoldsUpAndHealingDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		ln, err := n.Listen(context.Background(), "b:1")
		require.NoError(t, err)
		defer ln.Close()
		a, err := n.From("a").Dial(context.Background(), "b:1")
		require.NoError(t, err)
		b, err := ln.Accept()
		require.NoError(t, err)
		n.Cut("b", "a")
		_, err = a.Write([]byte("late"))
		require.NoError(t, err)
		require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Minute)))
		_, err = b.Read(make([]byte, 4))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, b.SetReadDeadline(time.Time{}))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = n.From("a").Dial(ctx, "b:1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		c, err := n.From("c").Dial(context.Background(), "b:1") // others do not notice
		require.NoError(t, err)
		_ = c.Close()
		began := time.Now()
		time.AfterFunc(time.Minute, func() { n.Heal("a", "b") })
		again, err := n.From("a").Dial(context.Background(), "b:1")
		require.NoError(t, err)
		require.Equal(t, time.Minute, time.Since(began))
		got := make([]byte, 4)
		_, err = io.ReadFull(b, got)
		require.NoError(t, err)
		require.Equal(t, "late", string(got))
		for _, c := range []net.Conn{a, b, again} {
			_ = c.Close()
		}
	})
}

func TestResetBreaksBothEnds(t *testing.T) {
	n := New()
	a, b := pipe(t, n, "a", "b:1")
	_, err := a.Write([]byte("lost"))
	require.NoError(t, err)
	n.Reset("a", "b")
	for _, c := range []net.Conn{a, b} {
		_, err := c.Read(make([]byte, 4))
		require.ErrorIs(t, err, errReset)
		_, err = c.Write([]byte("x"))
		require.ErrorIs(t, err, errReset)
		require.NoError(t, c.Close())
	}
}

func TestListeners(t *testing.T) {
	n := New()
	ctx := context.Background()
	_, err := n.Dial(ctx, "b:1")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, err = n.Listen(ctx, "no port")
	require.Error(t, err)
	ln, err := n.Listen(ctx, "b:1")
	require.NoError(t, err)
	_, err = n.Listen(ctx, "b:1")
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	other, err := n.Listen(ctx, "b:0")
	require.NoError(t, err)
	require.NotEqual(t, "b:0", other.Addr().String())
	require.NoError(t, other.Close())
	a, err := n.Dial(ctx, "b:1")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	require.NoError(t, ln.Close())
	_, err = a.Read(make([]byte, 1)) // nobody accepted it
	require.ErrorIs(t, err, errReset)
	_ = a.Close()
	_, err = ln.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = n.Dial(ctx, "b:1")
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	ln, err = n.Listen(ctx, "b:1")
	require.NoError(t, err)
	require.NoError(t, ln.Close())
}
