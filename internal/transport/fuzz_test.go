package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
)

// A tape is a connection whose peer has said all it ever will.
type tape struct {
	net.Conn
	in *bytes.Reader
}

func (t tape) Read(b []byte) (int, error)       { return t.in.Read(b) }
func (tape) Write(b []byte) (int, error)        { return len(b), nil }
func (tape) Close() error                       { return nil }
func (tape) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (tape) SetWriteDeadline(_ time.Time) error { return nil }
func (tape) SetReadDeadline(_ time.Time) error  { return nil }

// FuzzStream reads arbitrary bytes as frames: what comes out is messages, then the end or a refusal.
func FuzzStream(f *testing.F) {
	b, at := wire.OpenBatch(nil, "c", 1)
	b, err := wire.AppendMessage(b, &message.Ping{Connected: true})
	if err != nil {
		f.Fatal(err)
	}
	wire.CloseBatch(b, at, 1)
	f.Add(append(frame(frameBatch, b), frame(frameRefusal, wire.AppendRefusal(nil, offer.Refuse(offer.ReasonForbidden, "no")))...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewConn(tape{in: bytes.NewReader(b)}, ConnConfig{})
		defer c.Close()
		for {
			envs, err := c.Receive(nil)
			var r *offer.Refusal
			switch {
			case err == nil && len(envs) > 0:
				for _, e := range envs {
					if e.Message == nil {
						t.Fatal("an envelope without a message")
					}
				}
			case errors.Is(err, io.EOF), errors.As(err, &r):
				return
			default:
				t.Fatalf("%d messages, error %v", len(envs), err)
			}
		}
	})
}
