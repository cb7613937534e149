package slave

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/stream"
	"github.com/meros-project/meros/offer"
)

// A hasty runner's commands print and end before anybody is told that they have begun, if they can.
type hasty struct{ *isolationtest.Runner }

func (h hasty) Exec(_ context.Context, _ string, spec isolation.ExecSpec) (isolation.Session, error) {
	s := &hastySession{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_, s.err = io.WriteString(spec.Stdout, spec.Command.Value)
	}()
	select {
	case <-s.done:
	case <-time.After(50 * time.Millisecond):
	}
	return s, nil
}

type hastySession struct {
	done chan struct{}
	err  error
}

func (s *hastySession) Stdin() io.WriteCloser           { return unread{} }
func (s *hastySession) Resize(offer.TerminalSize) error { return nil }
func (s *hastySession) Signal(int) error                { return nil }
func (s *hastySession) Wait() (offer.Exit, error)       { <-s.done; return offer.Exit{Code: 7}, s.err }
func (s *hastySession) Close() error                    { <-s.done; return nil }

// unread is the input of a command that has ended.
type unread struct{}

func (unread) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
func (unread) Close() error              { return nil }

// sessionServers serves the slave's sessions as its clients may talk to it.
func sessionServers(t *testing.T, s *runningSlave) map[string]*httptest.Server {
	servers := map[string]*httptest.Server{}
	for name, start := range map[string]func(*httptest.Server){"plain": (*httptest.Server).Start, "TLS": (*httptest.Server).StartTLS,
		"HTTP/2": func(server *httptest.Server) { server.EnableHTTP2 = true; server.StartTLS() }} {
		server := httptest.NewUnstartedServer(s.Handler())
		start(server)
		t.Cleanup(server.Close)
		servers[name] = server
	}
	return servers
}

func exitIn(t *testing.T, body string) (exit offer.Exit) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(body), &exit))
	return exit
}

func TestWhatAQuickCommandPrintsComesAfterItsBeginning(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Sessions: true, Runner: hasty{&isolationtest.Runner{}}})
	<-s.Ready()
	m.send(launch(command("t-1", "sleep 1000")))
	m.state("t-1", offer.Running)
	for name, server := range sessionServers(t, s) {
		c, kind, body := ask(t, server, execIn("t-1", "all of it"))
		require.Equal(t, stream.Started, kind, "%s: %s", name, body)
		out, kind, body := c.rest()
		require.Equal(t, "all of it", out, name)
		require.Equal(t, stream.Exit, kind, name)
		require.Equal(t, offer.Exit{Code: 7}, exitIn(t, body), name)
		c.close()
	}
}

func TestASlowClientGetsAllThatACommandHasPrintedWhenItIsLongOver(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Sessions: true, Runner: hasty{&isolationtest.Runner{}}})
	<-s.Ready()
	m.send(launch(command("t-1", "sleep 1000")))
	m.state("t-1", offer.Running)
	clients := map[string]*client{}
	text := strings.Repeat("x", 100<<10)
	for name, server := range sessionServers(t, s) {
		c, kind, body := ask(t, server, execIn("t-1", text))
		require.Equal(t, stream.Started, kind, "%s: %s", name, body)
		clients[name] = c
	}
	time.Sleep(sessionFarewell + 2*time.Second) // longer than a client may stay who was refused
	for range 3 {                               // to find out whether the other side is still there takes more than one
		for _, c := range clients {
			go func() { _ = c.conn.Send(stream.Stdin, []byte("late")) }()
		}
		time.Sleep(50 * time.Millisecond)
	}
	for name, c := range clients {
		out, kind, body := c.rest()
		require.Equal(t, len(text), len(out), name)
		require.Equal(t, stream.Exit, kind, name)
		require.Equal(t, offer.Exit{Code: 7}, exitIn(t, body), name)
		c.close()
	}
	eventually(t, "no session is open", func() bool {
		s.sessions.mu.Lock()
		defer s.sessions.mu.Unlock()
		return s.sessions.all == 0
	})
}

func TestTheEndOfARefusedSessionIsNoFaultOfTheServer(t *testing.T) {
	s, _ := followed(t)
	s.cfg.Sessions = true
	server := httptest.NewUnstartedServer(s.Handler())
	var said safeText
	server.Config.ErrorLog = log.New(&said, "", 0)
	server.Start()
	for range 50 {
		c, kind, body := ask(t, server, execIn("t-1", "true"))
		require.Equal(t, stream.Refused, kind, body)
		c.close()
	}
	server.Close()
	require.NotContains(t, said.String(), "panic")
}

// A safeText is written and read by several goroutines.
type safeText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeText) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeText) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A quick session is one whose command is over at once.
type quick struct {
	line  string
	talk  func(c *client) // what the client does meanwhile, and after that closes its side
	bytes int             // that it prints
}

func TestTheOutputAndExitStatusOfQuickSessionsAlwaysCome(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Sessions: true})
	<-s.Ready()
	m.send(launch(command("t-1", "echo up; exec sleep 1000")))
	m.state("t-1", offer.Running)
	kinds := map[string]quick{
		"no input":        {line: "echo -n hello; exit 7", bytes: 5},
		"input that ends": {line: "echo -n hello; exit 7", bytes: 5, talk: func(c *client) { _ = c.conn.Send(stream.Stdin, nil) }},
		"unread input": {line: "echo -n hello; exit 7", bytes: 5, talk: func(c *client) {
			for range stream.InputWindow / stream.MaxData {
				_ = c.conn.Send(stream.Stdin, make([]byte, stream.MaxData))
			}
			_ = c.conn.Send(stream.Stdin, nil)
		}},
		"much output": {line: "head -c 1000000 /dev/zero; exit 7", bytes: 1_000_000, talk: func(c *client) { _ = c.conn.Send(stream.Stdin, nil) }},
		"input that is late": {line: "head -c 100000 /dev/zero; exit 7", bytes: 100_000, talk: func(c *client) {
			_ = c.conn.Send(stream.Stdin, []byte("late"))
			_ = c.conn.Send(stream.Stdin, nil)
		}},
	}
	for name, server := range sessionServers(t, s) {
		for what, q := range kinds {
			for i := range 4 {
				c, kind, body := ask(t, server, execIn("t-1", q.line))
				require.Equal(t, stream.Started, kind, "%s, %s, %d: %s", name, what, i, body)
				talked := make(chan struct{})
				go func() {
					defer close(talked)
					if q.talk != nil {
						q.talk(c)
					}
				}()
				out, kind, body := c.rest()
				require.Len(t, out, q.bytes, "%s, %s, %d", name, what, i)
				require.Equal(t, stream.Exit, kind, "%s, %s, %d: %s", name, what, i, body)
				require.Equal(t, offer.Exit{Code: 7}, exitIn(t, body), "%s, %s, %d", name, what, i)
				c.close()
				<-talked
			}
		}
	}
	m.send(&message.Kill{Framework: "f-1", Task: "t-1"})
	m.state("t-1", offer.Killing)
	m.state("t-1", offer.Killed)
}
