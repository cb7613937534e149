package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/transport/memtransport"
)

// serveMux runs a mux with listeners for all protocols; the returned function ends it and waits.
func serveMux(t *testing.T, ln net.Listener, cfg MuxConfig) (m *Mux, stop func()) {
	t.Helper()
	m = NewMux(ln, cfg)
	for p := range protocols {
		m.Listener(p)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	return m, func() {
		cancel()
		require.NoError(t, <-ended)
		for p := range protocols {
			_, err := m.Listener(p).Accept()
			require.ErrorIs(t, err, net.ErrClosed)
		}
	}
}

// greetings answers each connection of p with one line, that names the protocol and the line that came.
func greetings(ln net.Listener, p Protocol) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			line, err := bufio.NewReader(c).ReadString('\n')
			if err == nil {
				_, _ = fmt.Fprintf(c, "%s: %s", p, line)
			}
		}()
	}
}

func ask(c net.Conn, line string) (string, error) {
	defer c.Close()
	if _, err := c.Write([]byte(line)); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}

func testProtocols(t *testing.T, ln net.Listener, cfg MuxConfig, d Dialer) {
	m, stop := serveMux(t, ln, cfg)
	defer stop()
	addr := m.Addr().String()
	for _, p := range []Protocol{Node, Raft} {
		go greetings(m.Listener(p), p)
		c, err := d.Dial(context.Background(), addr, p)
		require.NoError(t, err)
		answer, err := ask(c, "hello\n")
		require.NoError(t, err)
		require.Equal(t, p.String()+": hello\n", answer)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%s %s %s", r.Proto, r.Method, r.URL.Path)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(m.Listener(HTTP)) }()
	transport := &http.Transport{
		DialContext:       func(ctx context.Context, _, addr string) (net.Conn, error) { return d.Network.Dial(ctx, addr) },
		TLSClientConfig:   d.TLS,
		ForceAttemptHTTP2: true,
	}
	scheme, proto := "http", "HTTP/1.1"
	if d.TLS != nil {
		scheme, proto = "https", "HTTP/2.0"
	}
	for _, method := range []string{"GET", "MERGE"} { // the latter begins like the magic
		request, err := http.NewRequest(method, scheme+"://"+addr+"/state", nil)
		require.NoError(t, err)
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		_ = response.Body.Close()
		require.Equal(t, proto+" "+method+" /state", string(body))
	}
	transport.CloseIdleConnections()
	require.NoError(t, server.Close())
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

func TestProtocolsShareAPort(t *testing.T) {
	ca := newAuthority(t)
	for name, network := range map[string]Network{"tcp": TCP(), "memory": memtransport.New()} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " tls ", secure), func(t *testing.T) {
				cfg, d := MuxConfig{}, Dialer{Network: network}
				if secure {
					cfg.TLS, d.TLS = ca.config(t, "m1"), ca.config(t, "s1")
				}
				ln, err := Listen(context.Background(), network, "127.0.0.1:0", secure, false)
				require.NoError(t, err)
				testProtocols(t, ln, cfg, d)
			})
		}
	}
}

func TestTLSTellsWhoThePeerIs(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	network := TCP()
	ln, err := Listen(context.Background(), network, "127.0.0.1:0", true, false)
	require.NoError(t, err)
	m, stop := serveMux(t, ln, MuxConfig{TLS: ca.config(t, "m1")})
	defer stop()
	addr := m.Addr().String()
	dial := func(cfg *tls.Config, p Protocol) (net.Conn, error) {
		return Dialer{TLS: cfg}.Dial(context.Background(), addr, p)
	}
	nc, err := dial(ca.config(t, "slave-7"), Node)
	require.NoError(t, err)
	accepted, err := m.Listener(Node).Accept()
	require.NoError(t, err)
	x, y := NewConn(nc, ConnConfig{}), NewConn(accepted, ConnConfig{})
	require.Equal(t, "m1", x.Principal())
	require.Equal(t, "slave-7", y.Principal())
	require.EqualValues(t, tls.VersionTLS13, nc.(*tls.Conn).ConnectionState().Version)
	require.NoError(t, x.Send(ack(1)))
	receiveN(t, y, 1)
	x.CloseAfterFlush(time.Minute)
	_, err = y.Receive(nil)
	require.ErrorIs(t, err, io.EOF)
	<-x.Done()

	_, err = dial(other.config(t, "stranger"), Node)
	require.Error(t, err, "the authority is another one")
	anonymous := ca.config(t, "x")
	anonymous.Certificates = nil
	for _, p := range []Protocol{Node, Raft} {
		nc, err = dial(anonymous, p)
		if err == nil { // the client learns it with the first read
			_ = nc.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err = nc.Read(make([]byte, 1))
			_ = nc.Close()
		}
		require.Error(t, err, "no certificate")
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	}
	plain, err := network.Dial(context.Background(), addr)
	require.NoError(t, err)
	_, err = ask(plain, "MEROSnd1 hello, is this plain text?\n")
	require.NoError(t, err) // an alert, then the end
}

func TestOldTLSIsRefusedBetweenNodes(t *testing.T) {
	ca := newAuthority(t)
	ln, err := TCP().Listen(context.Background(), "127.0.0.1:0")
	require.NoError(t, err)
	cfg := ca.config(t, "m1")
	cfg.MinVersion = tls.VersionTLS12 // for old HTTP clients
	m, stop := serveMux(t, ln, MuxConfig{TLS: cfg})
	defer stop()
	go greetings(m.Listener(HTTP), HTTP)
	dial := func(proto string) (string, error) {
		old := ca.config(t, "old")
		old.MinVersion, old.MaxVersion, old.NextProtos, old.ServerName = tls.VersionTLS12, tls.VersionTLS12, []string{proto}, "localhost"
		c, err := tls.Dial("tcp", m.Addr().String(), old)
		require.NoError(t, err)
		return ask(c, "hello\n")
	}
	answer, err := dial(alpns[HTTP])
	require.NoError(t, err)
	require.Equal(t, "http: hello\n", answer)
	answer, _ = dial(alpns[Node])
	require.Empty(t, answer)
}

func TestNewcomersCostNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memtransport.New()
		ln, err := network.Listen(context.Background(), "m1:5050")
		require.NoError(t, err)
		m, stop := serveMux(t, ln, MuxConfig{MaxPending: 10})
		defer stop()
		go greetings(m.Listener(Node), Node)
		gone := func(c net.Conn) time.Duration {
			began := time.Now()
			_, err := c.Read(make([]byte, 1))
			require.Error(t, err)
			_ = c.Close()
			return time.Since(began)
		}
		dial := func(first string) net.Conn {
			c, err := network.Dial(context.Background(), "m1:5050")
			require.NoError(t, err)
			_, err = c.Write([]byte(first))
			require.NoError(t, err)
			return c
		}
		for _, garbage := range []string{"\x16\x03\x01", "hello", "MEROSxx1", "\x00"} {
			if garbage[0] == 'M' {
				continue // looks like HTTP, whose server will say so
			}
			require.Zero(t, gone(dial(garbage)), "%q", garbage)
		}
		silent, slow := dial(""), dial("MER")
		require.Equal(t, 5*time.Second, gone(silent))
		_ = gone(slow)
		// More of them than may be pending: the oldest give way, and those who speak are served.
		var quiet []net.Conn
		for range 25 {
			quiet = append(quiet, dial("M"))
		}
		began := time.Now()
		c, err := Dialer{Network: network}.Dial(context.Background(), "m1:5050", Node)
		require.NoError(t, err)
		answer, err := ask(c, "hello\n")
		require.NoError(t, err)
		require.Equal(t, "node: hello\n", answer)
		require.Less(t, time.Since(began), 3*time.Second)
		for _, c := range quiet {
			gone(c)
		}
	})
}

func TestNewcomersUnderTLSCostNobodyElse(t *testing.T) {
	ca := newAuthority(t)
	server, client := ca.config(t, "m1"), ca.config(t, "s1")
	client.ServerName = "localhost"
	synctest.Test(t, func(t *testing.T) {
		server.Time = func() time.Time { return ca.cert.NotBefore.Add(time.Minute) } // the bubble lives in another year
		client.Time = server.Time
		network := memtransport.New()
		ln, err := network.Listen(context.Background(), "m1:5050")
		require.NoError(t, err)
		m, stop := serveMux(t, ln, MuxConfig{TLS: server, MaxPending: 3})
		defer stop()
		go greetings(m.Listener(Node), Node)
		began := time.Now()
		for _, first := range []string{"", "\x16\x03\x01\x02\x00\x01", "GET / HTTP/1.1\r\n\r\n", "MEROSnd1", "\x16\x03", "\x16", ""} {
			c, err := network.Dial(context.Background(), "m1:5050")
			require.NoError(t, err)
			_, err = c.Write([]byte(first))
			require.NoError(t, err)
			defer c.Close()
		}
		c, err := Dialer{Network: network, TLS: client}.Dial(context.Background(), "m1:5050", Node)
		require.NoError(t, err)
		answer, err := ask(c, "hello\n")
		require.NoError(t, err)
		require.Equal(t, "node: hello\n", answer)
		require.Less(t, time.Since(began), 3*time.Second)
	})
}

func TestAProtocolThatNobodyServesIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memtransport.New()
		ln, err := network.Listen(context.Background(), "m1:5050")
		require.NoError(t, err)
		m := NewMux(ln, MuxConfig{})
		node := m.Listener(Node)
		http := m.Listener(HTTP)
		ended := make(chan error, 1)
		go func() { ended <- m.Run(context.Background()) }()
		turnedAway := func(p Protocol) time.Duration {
			began := time.Now()
			c, err := Dialer{Network: network}.Dial(context.Background(), "m1:5050", p)
			require.NoError(t, err)
			_, err = ask(c, "GET / HTTP/1.1\n")
			_ = err
			return time.Since(began)
		}
		require.Zero(t, turnedAway(Raft), "no listener")
		require.NoError(t, http.Close())
		require.Zero(t, turnedAway(HTTP), "its listener is closed")
		require.Equal(t, 5*time.Second, turnedAway(Node), "nobody accepts")
		_ = node.Close()
		require.NoError(t, m.Close())
		require.NoError(t, <-ended)
	})
}

// A listener that fails now and then, as one does that has run out of files.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	return f.Listener.Accept()
}

func TestAcceptGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := memtransport.New()
		ln, err := network.Listen(context.Background(), "m1:5050")
		require.NoError(t, err)
		m, stop := serveMux(t, &failing{ln, []error{errors.New("too many open files"), errors.New("again")}}, MuxConfig{})
		defer stop()
		go greetings(m.Listener(Node), Node)
		c, err := Dialer{Network: network}.Dial(context.Background(), "m1:5050", Node)
		require.NoError(t, err)
		_, err = ask(c, "hello\n")
		require.NoError(t, err)
	})
}

func TestPlainTextStaysOnLoopback(t *testing.T) {
	ctx := context.Background()
	_, err := Listen(ctx, TCP(), "0.0.0.0:0", false, false)
	require.ErrorContains(t, err, "plain text on [::]:")
	require.ErrorContains(t, err, "allowed: loopback addresses, TLS, or the insecure option")
	ln, err := Listen(ctx, TCP(), "0.0.0.0:0", false, true)
	require.NoError(t, err)
	require.ErrorContains(t, NewMux(ln, MuxConfig{}).Run(ctx), "plain text")
	_, err = ln.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	for _, ok := range []string{"127.0.0.1:0", "[::1]:0", "localhost:0"} {
		ln, err := Listen(ctx, TCP(), ok, false, false)
		if err != nil && ok == "[::1]:0" {
			t.Log("no IPv6 here:", err)
			continue
		}
		require.NoError(t, err)
		_ = ln.Close()
	}
	far := elsewhere{memtransport.New()}
	fln, err := far.Listen(ctx, "10.1.2.3:5050")
	require.NoError(t, err)
	defer fln.Close()
	_, err = Dialer{Network: far}.Dial(ctx, "10.1.2.3:5050", Node)
	require.ErrorContains(t, err, "plain text on 10.1.2.3:5050 is not allowed")
	c, err := Dialer{Network: far, Insecure: true}.Dial(ctx, "10.1.2.3:5050", Node)
	require.NoError(t, err)
	_ = c.Close()
}

// elsewhere makes connections look as if they led to another machine.
type elsewhere struct{ Network }

type farConn struct{ net.Conn }

func (c farConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.Conn.RemoteAddr().String()))
}

func (e elsewhere) Dial(ctx context.Context, addr string) (net.Conn, error) {
	c, err := e.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return farConn{c}, nil
}
