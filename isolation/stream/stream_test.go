package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestFramesArriveAsTheyWereSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var wire bytes.Buffer
		c := NewConn(&wire, &wire)
		type frame struct {
			kind Kind
			body []byte
		}
		var sent []frame
		for range rapid.IntRange(1, 20).Draw(t, "frames") {
			kind := Kind(rapid.IntRange(int(Start), int(Exit)).Draw(t, "kind"))
			body := rapid.SliceOfN(rapid.Byte(), 0, min(kind.limit(), 1000)).Draw(t, "body")
			switch kind {
			case Window, Resize, Signal:
				body = append(body, 1, 2, 3, 4)[:kind.limit()]
			}
			require.NoError(t, c.Send(kind, body))
			sent = append(sent, frame{kind, body})
		}
		for _, f := range sent {
			kind, body, err := c.Receive()
			require.NoError(t, err)
			require.Equal(t, f.kind, kind)
			require.Equal(t, string(f.body), string(body))
		}
		_, _, err := c.Receive()
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestNumbersAndSizesAreRead(t *testing.T) {
	var wire bytes.Buffer
	c := NewConn(&wire, &wire)
	require.NoError(t, c.SendWindow(70_000))
	require.NoError(t, c.SendSize(300, 400))
	require.NoError(t, c.Send(Signal, []byte{9}))
	_, body, err := c.Receive()
	require.NoError(t, err)
	require.Equal(t, 70_000, Number(body))
	_, body, err = c.Receive()
	require.NoError(t, err)
	rows, columns := Size(body)
	require.Equal(t, [2]uint16{300, 400}, [2]uint16{rows, columns})
	_, body, err = c.Receive()
	require.NoError(t, err)
	require.Equal(t, 9, Number(body))
}

func TestBadFramesAreErrors(t *testing.T) {
	header := func(kind Kind, n uint32, body string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{byte(kind)}, n), body...)
	}
	for name, wire := range map[string][]byte{
		"unknown kind":        header(0, 0, ""),
		"too long":            header(Stdin, MaxData+1, ""),
		"longer than it says": header(Start, MaxJSON, "{}"),
		"no header":           {1, 0},
		"short size":          header(Resize, 3, "abc"),
		"empty signal":        header(Signal, 0, ""),
		"nothing of a window": header(Window, 0, ""),
	} {
		_, _, err := NewConn(bytes.NewReader(wire), io.Discard).Receive()
		require.Error(t, err, name)
	}
	require.Error(t, NewConn(nil, io.Discard).Send(Stdout, make([]byte, MaxData+1)))
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{4, 0, 0, 0, 1, 'x'})
	f.Add([]byte{1, 0, 63, 255, 255, '{'})
	f.Fuzz(func(t *testing.T, wire []byte) {
		c := NewConn(bytes.NewReader(wire), io.Discard)
		for {
			kind, body, err := c.Receive()
			if err != nil {
				return
			}
			switch kind {
			case Window, Signal:
				Number(body)
			case Resize:
				Size(body)
			}
		}
	})
}

func TestInputIsKeptUpToItsWindowAndNoFurther(t *testing.T) {
	in := NewInput()
	for range InputWindow / MaxData {
		require.NoError(t, in.Put(make([]byte, MaxData)))
	}
	require.Error(t, in.Put([]byte("x")))
	require.NoError(t, in.Put(nil))
	require.Error(t, in.Put([]byte("after its end")))
	var got bytes.Buffer
	used := 0
	require.NoError(t, in.Copy(&got, func(n int) error { used += n; return nil }))
	require.Equal(t, InputWindow, used)
	require.Equal(t, InputWindow, got.Len())
}

func TestSenderAndReceiverOfInputAgree(t *testing.T) {
	in, credit := NewInput(), NewCredit()
	var got bytes.Buffer
	var wg sync.WaitGroup
	wg.Go(func() { _ = in.Copy(&got, func(n int) error { credit.Add(n); return nil }) })
	sent := bytes.Repeat([]byte("0123456789"), InputWindow/4)
	for rest := sent; len(rest) > 0; {
		n := credit.Take(len(rest))
		require.Positive(t, n)
		require.NoError(t, in.Put(rest[:n]))
		rest = rest[n:]
	}
	require.NoError(t, in.Put(nil))
	wg.Wait()
	require.Equal(t, sent, got.Bytes())
}

func TestTheEndOfAnInputAndOfACreditIsNoticed(t *testing.T) {
	in, credit := NewInput(), NewCredit()
	credit.Take(MaxData)
	for credit.left > 0 {
		credit.Take(MaxData)
	}
	var wg sync.WaitGroup
	var copied error
	var taken int
	wg.Go(func() { copied = in.Copy(io.Discard, nil) })
	wg.Go(func() { taken = credit.Take(1) })
	in.Close()
	credit.Close()
	wg.Wait()
	require.ErrorIs(t, copied, ErrClosed)
	require.Zero(t, taken)
	require.NoError(t, in.Put([]byte("thrown away")))
	full := errors.New("full")
	in = NewInput()
	require.NoError(t, in.Put([]byte("x")))
	require.ErrorIs(t, in.Copy(failing{full}, nil), full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
