package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ends opens a connection over network and returns both ends.
func ends(t testing.TB, network Network, addr string) (dialed, accepted net.Conn) {
	t.Helper()
	ln, err := network.Listen(context.Background(), addr)
	require.NoError(t, err)
	defer ln.Close()
	dialed, err = network.Dial(context.Background(), ln.Addr().String())
	require.NoError(t, err)
	accepted, err = ln.Accept()
	require.NoError(t, err)
	return dialed, accepted
}

func memEnds(t testing.TB) (dialed, accepted net.Conn) { return ends(t, memtransport.New(), "b:1") }

func ack(n int) message.Envelope {
	return message.Envelope{Cluster: "c", Reign: 2, Message: &message.StatusAck{Framework: "f", Task: offer.TaskID(fmt.Sprint("t-", n))}}
}

func reason(t *testing.T, want offer.Reason, err error) {
	t.Helper()
	var r *offer.Refusal
	require.True(t, errors.As(err, &r), "%v", err)
	require.Equal(t, want, r.Reason, "%v", err)
}

func receiveN(t *testing.T, c *Conn, n int) (got []message.Envelope, frames int) {
	t.Helper()
	for len(got) < n {
		envs, err := c.Receive(nil)
		require.NoError(t, err)
		got = append(got, envs...)
		frames++
	}
	return got, frames
}

func testDelivery(t *testing.T, a, b net.Conn) {
	x, y := NewConn(a, ConnConfig{}), NewConn(b, ConnConfig{})
	var want []message.Envelope
	for i := range 3000 {
		e := ack(i)
		if i%1000 == 999 {
			e.Reign++ // in a batch of its own
		}
		if i%500 == 7 {
			e.Message = &message.ToExecutor{Data: bytes.Repeat([]byte{byte(i)}, 300_000)} // larger than any buffer
		}
		want = append(want, e)
	}
	sent := make(chan error, 1)
	go func() {
		for some := range slices.Chunk(want, 10) {
			if err := x.Send(some...); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	got, _ := receiveN(t, y, len(want))
	require.NoError(t, <-sent)
	require.Equal(t, want, got)
	require.NoError(t, y.Send(ack(1)))
	answer, _ := receiveN(t, x, 1)
	require.Equal(t, []message.Envelope{ack(1)}, answer)
	require.NoError(t, x.Close())
	_, err := y.Receive(nil)
	require.Error(t, err)
	<-y.Done()
	require.ErrorIs(t, x.Send(ack(1)), net.ErrClosed)
	require.ErrorIs(t, x.Err(), net.ErrClosed)
}

func TestMessagesArriveInOrder(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := memEnds(t)
			testDelivery(t, a, b)
		})
	})
	t.Run("tcp", func(t *testing.T) {
		a, b := ends(t, TCP(), "127.0.0.1:0")
		testDelivery(t, a, b)
	})
}

func TestUnbatchedMessagesTravelAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memEnds(t)
		x, y := NewConn(a, ConnConfig{Unbatched: true}), NewConn(b, ConnConfig{})
		for i := range 100 {
			require.NoError(t, x.Send(ack(2*i), ack(2*i+1)))
		}
		got, frames := receiveN(t, y, 200)
		for i, e := range got {
			require.Equal(t, ack(i), e)
		}
		require.Equal(t, 200, frames)
		_ = x.Close()
		_ = y.Close()
	})
}

// A blocked writer makes everything that waits one batch.
func TestABlockedWriterGathersABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memEnds(t)
		x, y := NewConn(a, ConnConfig{}), NewConn(b, ConnConfig{})
		big := message.Envelope{Message: &message.ToExecutor{Data: make([]byte, 200_000)}}
		require.NoError(t, x.Send(big))
		synctest.Wait() // the writer hangs in the middle of it
		for i := range 1000 {
			require.NoError(t, x.Send(ack(i)))
		}
		_, frames := receiveN(t, y, 1001)
		require.Equal(t, 2, frames)
		_ = x.Close()
		_ = y.Close()
	})
}

func TestASlowConsumerIsCut(t *testing.T) {
	for name, cfg := range map[string]ConnConfig{
		"bytes":    {MaxQueueBytes: 100_000},
		"messages": {MaxQueueMessages: 50},
		"time":     {WriteTimeout: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := memEnds(t)
				x := NewConn(a, cfg)
				var err error
				for i := 0; i < 100 && err == nil; i++ {
					err = x.Send(message.Envelope{Message: &message.ToExecutor{Data: make([]byte, 10_000)}})
				}
				began := time.Now()
				if name == "time" {
					require.NoError(t, err)
					<-x.Done()
					require.Equal(t, time.Minute, time.Since(began))
				} else {
					require.ErrorIs(t, err, ErrSlowConsumer)
					<-x.Done()
				}
				require.ErrorIs(t, x.Err(), ErrSlowConsumer)
				reason(t, offer.ReasonSlowConsumer, x.Send(ack(1)))
				_, err = x.Receive(nil)
				require.ErrorIs(t, err, ErrSlowConsumer)
				_ = b.Close()
			})
		})
	}
}

// The queue is bounded by what waits, not by what was ever sent.
func TestTheQueueEmpties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memEnds(t)
		x, y := NewConn(a, ConnConfig{MaxQueueBytes: 30_000, MaxQueueMessages: 10}), NewConn(b, ConnConfig{})
		for range 100 {
			for range 2 {
				require.NoError(t, x.Send(message.Envelope{Message: &message.ToExecutor{Data: make([]byte, 10_000)}}))
			}
			receiveN(t, y, 2)
			synctest.Wait()
		}
		_ = x.Close()
		_ = y.Close()
	})
}

func TestAMessageThatIsTooLargeHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memEnds(t)
		x, y := NewConn(a, ConnConfig{MaxQueueBytes: 32 << 20}), NewConn(b, ConnConfig{})
		require.NoError(t, x.Send(ack(0)))
		reason(t, offer.ReasonTooLarge, x.Send(message.Envelope{Cluster: "c", Reign: 2, Message: &message.ToExecutor{Data: make([]byte, MaxFrame)}}))
		largest := message.Envelope{Cluster: "c", Reign: 2, Message: &message.ToExecutor{Data: make([]byte, MaxFrame-100)}}
		require.NoError(t, x.Send(ack(1), largest, ack(2)))
		got, _ := receiveN(t, y, 4)
		require.Equal(t, []message.Envelope{ack(0), ack(1), largest, ack(2)}, got)
		require.Error(t, x.Send(message.Envelope{}))
		require.NoError(t, x.Send(ack(3)))
		receiveN(t, y, 1)
		_ = x.Close()
		_ = y.Close()
	})
}

func frame(kind byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+1))
	return append(append(b, kind), body...)
}

func batchOf(t *testing.T, m message.Message) []byte {
	b, at := wire.OpenBatch(nil, "c", 1)
	b, err := wire.AppendMessage(b, m)
	require.NoError(t, err)
	wire.CloseBatch(b, at, 1)
	return b
}

// Each way to be wrong gets its refusal, is told to the peer, and costs that connection alone.
func TestABadFrameCostsItsConnectionOnly(t *testing.T) {
	good := frame(frameBatch, batchOf(t, &message.Ping{}))
	unknown := batchOf(t, &message.Ping{})
	unknown[len(unknown)-3] = 127 // the number of its kind
	for name, c := range map[string]struct {
		bytes []byte
		want  offer.Reason
	}{
		"oversize":        {[]byte{0xff, 0xff, 0xff, 0xff, frameBatch}, offer.ReasonTooLarge},
		"just oversize":   {append(binary.BigEndian.AppendUint32(nil, MaxFrame+1), frameBatch), offer.ReasonTooLarge},
		"empty":           {[]byte{0, 0, 0, 0, 0}, offer.ReasonMalformed},
		"without body":    {[]byte{0, 0, 0, 1, frameBatch}, offer.ReasonMalformed},
		"cut head":        {good[:3], offer.ReasonMalformed},
		"cut body":        {good[:len(good)-1], offer.ReasonMalformed},
		"cut large body":  {append([]byte{0, 0x30, 0, 0, frameBatch}, make([]byte, 10_000)...), offer.ReasonMalformed},
		"unknown frame":   {frame(9, []byte{0xc0}), offer.ReasonUnsupported},
		"unknown message": {frame(frameBatch, unknown), offer.ReasonUnsupported},
		"not msgpack":     {frame(frameBatch, []byte{0xc1, 0xc1}), offer.ReasonMalformed},
		"bomb":            {frame(frameBatch, []byte{0xdd, 0xff, 0xff, 0xff, 0xff}), offer.ReasonMalformed},
		"deep":            {frame(frameBatch, bytes.Repeat([]byte{0x91}, 100_000)), offer.ReasonTooLarge},
		"two values":      {frame(frameBatch, append(batchOf(t, &message.Ping{}), 0xc0)), offer.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, a := memEnds(t)
				peer, b := memEnds(t)
				x, y, z := NewConn(a, ConnConfig{}), NewConn(b, ConnConfig{}), NewConn(peer, ConnConfig{})
				go func() {
					_, _ = bad.Write(append(bytes.Clone(good), c.bytes...))
					_ = bad.(interface{ CloseWrite() error }).CloseWrite()
				}()
				receiveN(t, x, 1)
				_, err := x.Receive(nil)
				reason(t, c.want, err)
				reason(t, c.want, x.Err())
				told, err := NewConn(bad, ConnConfig{}).Receive(nil)
				require.Empty(t, told)
				reason(t, c.want, err)
				require.ErrorContains(t, err, "refused by b:1")
				<-x.Done()
				require.NoError(t, z.Send(ack(1)))
				receiveN(t, y, 1)
				_ = y.Close()
				_ = z.Close()
			})
		})
	}
}

func TestCloseAfterFlushLosesNothing(t *testing.T) {
	for _, network := range []Network{memtransport.New(), TCP()} {
		a, b := ends(t, network, "127.0.0.1:0")
		x, y := NewConn(a, ConnConfig{}), NewConn(b, ConnConfig{})
		for i := range 100 {
			require.NoError(t, y.Send(ack(i))) // never read: without care, closing would reset the connection
			require.NoError(t, x.Send(message.Envelope{Message: &message.ToExecutor{Data: make([]byte, 20_000)}}))
		}
		x.CloseAfterFlush(time.Minute)
		require.ErrorIs(t, x.Send(ack(1)), net.ErrClosed)
		receiveN(t, y, 100)
		_, err := y.Receive(nil)
		require.ErrorIs(t, err, io.EOF)
		<-y.Done()
		<-x.Done()
		require.ErrorIs(t, x.Err(), net.ErrClosed)
		_, err = x.Receive(nil)
		require.ErrorIs(t, err, net.ErrClosed)
	}
}

// Two ends that close at the same time, each with more to say than fits on the way, do not hold each other up.
func TestBothEndsMayCloseAtOnce(t *testing.T) {
	for _, network := range []Network{memtransport.New(), TCP()} {
		a, b := ends(t, network, "127.0.0.1:0")
		x, y := NewConn(a, ConnConfig{}), NewConn(b, ConnConfig{})
		for _, c := range []*Conn{x, y} {
			require.NoError(t, c.Send(message.Envelope{Message: &message.ToExecutor{Data: make([]byte, 3<<20)}}))
			require.NoError(t, c.Send(message.Envelope{Message: &message.ToExecutor{Data: make([]byte, 3<<20)}}))
			c.CloseAfterFlush(time.Hour)
		}
		<-x.Done()
		<-y.Done()
	}
}

func TestCloseAfterFlushGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memEnds(t)
		x := NewConn(a, ConnConfig{})
		require.NoError(t, x.Send(message.Envelope{Message: &message.ToExecutor{Data: make([]byte, 200_000)}}))
		received := make(chan error)
		go func() { _, err := x.Receive(nil); received <- err }()
		began := time.Now()
		x.CloseAfterFlush(3 * time.Second)
		<-x.Done()
		require.Equal(t, 3*time.Second, time.Since(began))
		require.ErrorIs(t, <-received, net.ErrClosed)
		_ = b.Close()
	})
}

func TestRefuseTellsThePeerWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memEnds(t)
		x, y := NewConn(a, ConnConfig{}), NewConn(b, ConnConfig{})
		require.NoError(t, x.Send(ack(1)))
		x.Refuse(offer.Refuse(offer.ReasonForbidden, "not you"))
		receiveN(t, y, 1)
		_, err := y.Receive(nil)
		reason(t, offer.ReasonForbidden, err)
		require.ErrorContains(t, err, "not you")
		require.Equal(t, err, y.Err())
		<-x.Done()
		reason(t, offer.ReasonForbidden, x.Err())
	})
}

func TestConnectionsMayBeUsedByMany(t *testing.T) {
	a, b := ends(t, TCP(), "127.0.0.1:0")
	x, y := NewConn(a, ConnConfig{}), NewConn(b, ConnConfig{})
	for range 8 {
		go func() {
			for i := range 500 {
				_ = x.Send(ack(i), ack(i+1))
			}
		}()
	}
	receiveN(t, y, 8000)
	for range 3 {
		go func() { _ = x.Close() }()
	}
	_, err := y.Receive(nil)
	require.Error(t, err)
	_ = x.Close()
	_ = y.Close()
	_ = y.Close()
}

// The bytes of preface and frames never change.
func TestBytesOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memtransport.New()
		ln, err := network.Listen(context.Background(), "b:1")
		require.NoError(t, err)
		defer ln.Close()
		nc, err := Dialer{Network: network}.Dial(context.Background(), "b:1", Node)
		require.NoError(t, err)
		raw, err := ln.Accept()
		require.NoError(t, err)
		c := NewConn(nc, ConnConfig{})
		require.NoError(t, c.Send(message.Envelope{Cluster: "c1", Reign: 300, Message: &message.Ping{Connected: true}},
			message.Envelope{Cluster: "c1", Reign: 300, Message: &message.Heartbeat{}}))
		c.Refuse(offer.Refuse(offer.ReasonOldReign, "late"))
		got := make([]byte, 100)
		n := 0
		for err == nil {
			var k int
			k, err = raw.Read(got[n:])
			n += k
		}
		require.ErrorIs(t, err, io.EOF)
		_ = raw.Close()
		<-c.Done()
		require.Equal(t, "MEROSnd1"+
			"\x00\x00\x00\x15\x01"+"\x93\xa2c1\xcd\x01\x2c\xdd\x00\x00\x00\x02"+"\x92\x42\x91\xc3"+"\x92\xcc\x86\x90"+
			"\x00\x00\x00\x0a\x02"+"\x92\xcd\x03\xe9\xa4late", string(got[:n]))
	})
}
