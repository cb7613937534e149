package zookeeper

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// frame is an answer or a request: two numbers, of 32 and 64 bits, after its length.
func frame(first uint32, second uint64) []byte {
	b := binary.BigEndian.AppendUint32(nil, 12)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, first), second)
}

func handshake(timeout uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, 36)
	b = binary.BigEndian.AppendUint32(b, 0)
	return append(binary.BigEndian.AppendUint32(b, timeout), make([]byte, 28)...)
}

// A second connection holds back an answer that moves the mark until the watches are on their way, and nothing else.
func TestAnswersWaitForTheWatches(t *testing.T) {
	ends := make(chan net.Conn, 2)
	d := newDialer(func(context.Context, string) (net.Conn, error) {
		a, b := net.Pipe()
		ends <- b
		return a, nil
	}, nil, time.Minute)
	first, err := d.open("tcp", "x", time.Second)
	require.NoError(t, err)
	defer first.Close()
	server := <-ends
	read := make([]byte, 40)
	go func() { _, _ = server.Write(append(handshake(4000), frame(1, 7)...)) }()
	_, err = io.ReadFull(first, read)
	require.NoError(t, err)
	require.Equal(t, 4*time.Second, time.Duration(d.negotiated.Load()))
	_, err = io.ReadFull(first, read[:16]) // the first connection has nothing to set again
	require.NoError(t, err)
	require.Equal(t, frame(1, 7), read[:16])

	d.watching.Store(true)
	second, err := d.open("tcp", "x", time.Second)
	require.NoError(t, err)
	defer second.Close()
	server = <-ends
	go func() {
		_, _ = server.Write(handshake(6000))
		_, _ = server.Write(frame(0xffffffff, 9)) // an event
		_, _ = server.Write(frame(2, 0))          // an answer without a mark
		_, _ = server.Write(frame(3, 9))
		_, _ = server.Write(frame(4, 10))
	}()
	_, err = io.ReadFull(second, read)
	require.NoError(t, err)
	for _, want := range [][]byte{frame(0xffffffff, 9), frame(2, 0)} {
		_, err = io.ReadFull(second, read[:16])
		require.NoError(t, err)
		require.Equal(t, want, read[:16])
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.ReadFull(server, make([]byte, 16))
	}()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = second.Write(frame(5, opSetWatches<<32)) // the kind is the third number
	}()
	for _, want := range [][]byte{frame(3, 9), frame(4, 10)} {
		_, err = io.ReadFull(second, read[:16])
		require.NoError(t, err)
		require.Equal(t, want, read[:16])
	}
	select {
	case <-second.(*conn).gate:
	default:
		t.Fatal("an answer that moves the mark came before the watches were on their way")
	}
	<-written
	<-sent
}

// What answers with too much, or too little, is no server.
func TestAHandshakeThatLies(t *testing.T) {
	for _, length := range []uint32{0, 15, maxHandshake + 1, 1 << 31} {
		ends := make(chan net.Conn, 1)
		d := newDialer(func(context.Context, string) (net.Conn, error) {
			a, b := net.Pipe()
			ends <- b
			return a, nil
		}, nil, time.Minute)
		c, err := d.open("tcp", "x", time.Second)
		require.NoError(t, err)
		server := <-ends
		go func() {
			_, _ = server.Write(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, length), 1))
			_ = server.Close()
		}()
		_, err = io.ReadFull(c, make([]byte, 12))
		require.ErrorIs(t, err, errHandshake)
		d.cut(true)
		_, err = d.open("tcp", "x", time.Second)
		require.ErrorIs(t, err, net.ErrClosed)
	}
}
