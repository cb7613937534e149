package master_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

const preface = "MEROSnd1"

func frame(kind byte, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)+1))
	return append(append(b, kind), body...)
}

// A bad frame, and what its sender is told.
type badFrame struct {
	bytes []byte
	ends  bool // the sender closes its side
	want  offer.Reason
}

func badFrames(t *testing.T) map[string]badFrame {
	batch, at := wire.OpenBatch(nil, "", 0)
	batch, err := wire.AppendMessage(batch, &message.Subscribe{Framework: offer.Framework{Name: "x", Roles: []string{"x"}}})
	require.NoError(t, err)
	wire.CloseBatch(batch, at, 1)
	whole := frame(1, batch)
	count := bytes.Clone(batch)
	wire.CloseBatch(count, at, 60_000)
	return map[string]badFrame{
		"4 GiB":                        {[]byte{0xff, 0xff, 0xff, 0xff, 1}, false, offer.ReasonTooLarge},
		"4 MiB and a byte":             {append(binary.BigEndian.AppendUint32(nil, 4<<20+1), 1), false, offer.ReasonTooLarge},
		"empty":                        {[]byte{0, 0, 0, 0, 1, 1, 1, 1}, false, offer.ReasonMalformed},
		"a kind and nothing else":      {[]byte{0, 0, 0, 1, 1, 0, 0, 0}, false, offer.ReasonMalformed},
		"an unknown kind":              {frame(200, batch), false, offer.ReasonUnsupported},
		"cut in the head":              {whole[:3], true, offer.ReasonMalformed},
		"cut in the body":              {whole[:len(whole)-3], true, offer.ReasonMalformed},
		"more messages than there are": {frame(1, count), false, offer.ReasonMalformed},
		"bytes after the end":          {frame(1, append(bytes.Clone(batch), 0xc0)), false, offer.ReasonMalformed},
		"a code that is none":          {frame(1, []byte{0xc1, 0xc1}), false, offer.ReasonMalformed},
		"not a batch":                  {frame(1, []byte{0x01, 0x02}), false, offer.ReasonMalformed},
		"nested arrays":                {frame(1, bytes.Repeat([]byte{0x91}, 1<<20)), false, offer.ReasonTooLarge},
		"nested maps":                  {frame(1, bytes.Repeat([]byte{0x81, 0x01}, 1<<20)), false, offer.ReasonTooLarge},
		"an array of four billion":     {frame(1, []byte{0xdd, 0xff, 0xff, 0xff, 0xff, 1}), false, offer.ReasonMalformed},
		"a map of four billion":        {frame(1, []byte{0xdf, 0xff, 0xff, 0xff, 0xff, 1}), false, offer.ReasonMalformed},
		"a text of 4 GiB":              {frame(1, []byte{0xdb, 0xff, 0xff, 0xff, 0xff, 'x'}), false, offer.ReasonMalformed},
		"bytes of 4 GiB":               {frame(1, []byte{0xc6, 0xff, 0xff, 0xff, 0xff, 'x'}), false, offer.ReasonMalformed},
		"millions of nothing":          {frame(1, append([]byte{0xdd, 0, 0x3f, 0xff, 0xf0}, make([]byte, 4<<20-16)...)), false, offer.ReasonTooLarge},
		"a message of an unknown kind": {frame(1, unknownMessage(t)), false, offer.ReasonUnsupported},
	}
}

// unknownMessage is a batch with one message whose kind no version knows.
func unknownMessage(t *testing.T) []byte {
	batch, at := wire.OpenBatch(nil, "", 0)
	before := len(batch)
	batch, err := wire.AppendMessage(batch, &message.Pong{})
	require.NoError(t, err)
	wire.CloseBatch(batch, at, 1)
	i := bytes.IndexByte(batch[before:], byte(message.KindPong))
	require.GreaterOrEqual(t, i, 0)
	batch[before+i] = 31
	return batch
}

// answer reads what the master says to a stranger, to the end of the connection: the refusal, or nil if there was none.
func answer(nc net.Conn) (*offer.Refusal, error) {
	c := transport.NewConn(nc, transport.ConnConfig{})
	defer c.Close()
	for {
		if _, err := c.Receive(nil); err != nil {
			var r *offer.Refusal
			errors.As(err, &r)
			return r, err
		}
	}
}

func TestFramesThatAreNotOnes(t *testing.T) {
	for name, bad := range badFrames(t) {
		attack(t, name, func(t *testing.T, a *arena) {
			for _, pre := range []bool{false, true} { // before and after a subscription
				nc := a.open()
				_, err := nc.Write([]byte(preface))
				require.NoError(t, err)
				if pre {
					c := transport.NewConn(nc, transport.ConnConfig{})
					require.NoError(t, c.Send(message.Envelope{Message: &message.Subscribe{Framework: offer.Framework{Name: "x", Roles: []string{"x"}}}}))
					_, err = c.Receive(nil)
					require.NoError(t, err)
				}
				_, err = nc.Write(bad.bytes)
				require.NoError(t, err)
				if bad.ends {
					require.NoError(t, nc.(interface{ CloseWrite() error }).CloseWrite())
				}
				r, err := answer(nc)
				require.NotNil(t, r, "%v", err)
				require.Equal(t, bad.want, r.Reason, "%s", r.Message)
				require.NotEmpty(t, r.Message)
			}
		})
	}
}

func TestConnectionsThatSpeakNoProtocol(t *testing.T) {
	for name, text := range map[string]string{
		"another preface":       "MEROSnd9........",
		"the masters' protocol": "MEROSrf1" + strings.Repeat("\xff", 1000),
		"zeros":                 strings.Repeat("\x00", 1000),
		"a TLS hello":           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"a shell":               "; rm -rf /\n",
		"no HTTP":               "GARBAGE\r\n\r\n",
		"a long request line":   "GET /" + strings.Repeat("x", 60_000),
		"bad headers":           "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
		"two lengths":           "POST /members HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"nothing after all":     preface,
		"nothing":               "",
		"a part of the preface": preface[:4],
		"an HTTP that stops":    "GET /health HTTP/1.1\r\nHost: x\r\n",
	} {
		attack(t, name, func(t *testing.T, a *arena) {
			nc := a.open()
			_, err := nc.Write([]byte(text))
			require.NoError(t, err)
			begin := time.Now()
			_, _ = io.Copy(io.Discard, nc)
			require.LessOrEqual(t, time.Since(begin), time.Minute, "it was closed")
		})
	}
	attack(t, "a byte a second", func(t *testing.T, a *arena) {
		nc := a.open()
		go func() {
			_, err := nc.Write([]byte(preface + "\x00\x40\x00\x00\x01"))
			for err == nil {
				time.Sleep(time.Second)
				_, err = nc.Write([]byte{0x91})
			}
		}()
		r, _ := answer(nc)
		require.NotNil(t, r)
		require.Equal(t, offer.ReasonLimitReached, r.Reason)
		time.Sleep(2 * time.Second)
	})
}

func TestAThousandConnectionsThatGoNowhere(t *testing.T) {
	attack(t, "half open", func(t *testing.T, a *arena) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range 1000 {
			nc := a.open()
			switch i % 4 {
			case 1:
				_, _ = nc.Write([]byte("MER"))
			case 2:
				_, _ = nc.Write([]byte(preface))
			case 3: // four megabytes were announced, some came
				_, _ = nc.Write(append([]byte(preface+"\x00\x40\x00\x00\x01"), make([]byte, 1000)...))
			}
		}
		synctest.Wait()
		runtime.GC()
		runtime.ReadMemStats(&after)
		require.Less(t, int64(after.HeapInuse)-int64(before.HeapInuse), int64(64<<20))
		p := a.dial() // others still get in
		p.subscribe(offer.Framework{Name: "late"})
		p.offer("s-1")
		time.Sleep(10 * time.Minute)
		require.LessOrEqual(t, a.m.Connections(), 5, "all are gone but the healthy ones, with a watch each, and the late one")
	})
}

// certificates makes an authority and a configuration for both ends.
func certificates(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: pool, ClientCAs: pool}
}

// The same over real sockets, with the real slave.
func TestBadFramesOverRealSockets(t *testing.T) {
	for name, secure := range map[string]*tls.Config{"plain": nil, "TLS": certificates(t)} {
		t.Run(name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			m, err := master.New(master.Config{Election: election.Standalone(), Listener: ln, TLS: secure})
			require.NoError(t, err)
			address := ln.Addr().String()
			run := start(context.Background(), m.Run)
			dir, err := os.MkdirTemp("/tmp", "ms")
			require.NoError(t, err)
			defer os.RemoveAll(dir)
			runner := &isolationtest.Runner{OnStart: func(spec *isolation.Spec) isolationtest.Script {
				if spec.Task == "steady" {
					return isolationtest.Script{}
				}
				return isolationtest.Script{Exit: &offer.Exit{}}
			}}
			s, err := slave.New(slave.Config{WorkDir: dir + "/work", Masters: []string{address}, TLS: secure, Listen: "none", Hostname: "healthy",
				Resources: resource.Must("cpus:4;mem:4096"), Runner: runner})
			require.NoError(t, err)
			sl := start(context.Background(), s.Run)
			by := newBystander()
			session, err := framework.New(framework.Config{Name: "bystander", Masters: []string{address}, TLS: secure}, by)
			require.NoError(t, err)
			fw := start(context.Background(), session.Run)
			by.want("steady")
			by.await("steady", offer.Running)
			for name, bad := range badFrames(t) {
				nc, err := transport.Dialer{TLS: secure}.Dial(t.Context(), address, transport.Node)
				require.NoError(t, err)
				_, err = nc.Write(bad.bytes)
				require.NoError(t, err, name)
				if bad.ends {
					require.NoError(t, nc.(interface{ CloseWrite() error }).CloseWrite())
				}
				r, err := answer(nc)
				require.NotNil(t, r, "%s: %v", name, err)
				require.Equal(t, bad.want, r.Reason, "%s: %s", name, r.Message)
			}
			if secure != nil { // strangers are not even heard
				nc, err := net.Dial("tcp", address)
				require.NoError(t, err)
				_, err = nc.Write([]byte(preface))
				require.NoError(t, err)
				_, _ = io.Copy(io.Discard, nc)
				_ = nc.Close()
				anonymous := secure.Clone()
				anonymous.Certificates = nil
				nc, err = transport.Dialer{TLS: anonymous}.Dial(t.Context(), address, transport.Node)
				if err == nil { // TLS 1.3 tells the client later
					_, err = nc.Read(make([]byte, 1))
					_ = nc.Close()
				}
				require.Error(t, err)
			}
			_, err = m.Books(t.Context())
			require.NoError(t, err)
			by.want("after")
			by.await("after", offer.Finished)
			require.True(t, runner.Exit(runner.Running()["steady"], offer.Exit{}))
			by.await("steady", offer.Finished)
			require.Equal(t, 1, by.subscriptions())
			require.Empty(t, by.strange())
			require.NoError(t, fw.stop())
			require.NoError(t, sl.stop())
			require.NoError(t, run.stop())
		})
	}
}
