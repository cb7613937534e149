package slave

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/offer"
)

func portOf(t testing.TB, address net.Addr) uint16 {
	tcp, ok := address.(*net.TCPAddr)
	require.True(t, ok)
	return uint16(tcp.Port)
}

// often is a check that is made all the time.
func often(kind offer.CheckKind) offer.Check {
	return offer.Check{Kind: kind, Delay: -1, Interval: offer.MinCheckInterval}
}

func soon(h offer.HealthCheck) *offer.HealthCheck {
	h.Grace, h.Failures = -1, 2
	return &h
}

// until waits for an update of a task with this reason.
func (m *scriptedMaster) until(task offer.TaskID, reason offer.Reason) offer.Status {
	m.t.Helper()
	for {
		up := take(m.t, "an update of "+string(task)+" for "+reason.String(), m.updates)
		require.Equal(m.t, task, up.Status.TaskID)
		if up.Status.Reason == reason {
			return *up.Status
		}
		require.False(m.t, up.Status.State.Terminal(), "%+v", up.Status)
	}
}

func TestATaskWhoseHTTPAnswersTurnBadIsKilledByItsPolicy(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	var answer, strayed atomic.Int32
	answer.Store(http.StatusFound)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/health?deep=1" {
			strayed.Add(1)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(answer.Load()))
	}))
	defer server.Close()
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	task := command("t-1", "trap 'exit 4' TERM; echo up; while :; do sleep 0.1; done")
	task.Kill.Grace = time.Minute
	task.Health = soon(offer.HealthCheck{Check: often(offer.CheckHTTP)})
	task.Health.Port, task.Health.Path = portOf(t, server.Listener.Addr()), "/health?deep=1"
	m.send(launch(task))
	st := m.state("t-1", offer.Running)
	require.Nil(t, st.Healthy)
	out := filepath.Join(st.Container.Sandbox, "stdout")
	st = m.state("t-1", offer.Running)
	require.Equal(t, offer.ReasonTaskHealthCheckStatusUpdated, st.Reason)
	require.True(t, *st.Healthy, "a redirect is no failure")
	require.Contains(t, st.Message, "HTTP status 302")
	eventually(t, "the task has set its trap", func() bool { b, _ := os.ReadFile(out); return string(b) == "up\n" })

	answer.Store(http.StatusServiceUnavailable)
	st = m.state("t-1", offer.Running)
	require.False(t, *st.Healthy)
	require.Contains(t, st.Message, "HTTP status 503")
	st = m.state("t-1", offer.Killing)
	require.False(t, *st.Healthy)
	st = m.state("t-1", offer.Killed)
	require.False(t, *st.Healthy)
	require.Equal(t, offer.ReasonTaskHealthCheckStatusUpdated, st.Reason)
	require.Equal(t, &offer.Exit{Code: 4}, st.Exit, "it was asked politely first")
	require.Zero(t, strayed.Load(), "redirects are not followed")
	s.stop()
}

func TestATaskThatTakesNoConnectionsIsUnhealthyUntilItDoes(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	task := command("t-1", "sleep 1000")
	task.Health = soon(offer.HealthCheck{Check: often(offer.CheckTCP)})
	task.Health.Port = portOf(t, ln.Addr())
	m.send(launch(task))
	require.True(t, *m.until("t-1", offer.ReasonTaskHealthCheckStatusUpdated).Healthy)
	require.NoError(t, ln.Close())
	st := m.until("t-1", offer.ReasonTaskHealthCheckStatusUpdated)
	require.False(t, *st.Healthy)
	require.Contains(t, st.Message, "no connection")
	for !st.State.Terminal() {
		st = m.until("t-1", offer.ReasonTaskHealthCheckStatusUpdated)
	}
	require.Equal(t, offer.Killed, st.State)
	s.stop()
}

func TestACheckRunsInTheContainerAndTellsItsExitStatus(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Leave: true})
	<-s.Ready()
	task := command("t-1", "echo 7 > verdict; exec sleep 1000")
	check := often(offer.CheckCommand)
	check.Command = &offer.Command{Shell: true, Value: `[ "$KEY$MESOS_TASK_ID" = valuet-1 ] || exit 9
[ ! -e /proc/self ] || [ "$(readlink /proc/$$/fd/1) $(readlink /proc/$$/fd/2)" = "/dev/null /dev/null" ] || exit 9
exit $(cat verdict)`, Environment: []offer.Variable{{Name: "KEY", Value: "value"}}}
	task.Check = &check
	m.send(launch(task))
	st := m.state("t-1", offer.Running)
	require.Equal(t, &offer.CheckResult{Kind: offer.CheckCommand}, st.Check)
	sandbox := st.Container.Sandbox
	result := func(code int) {
		t.Helper()
		for {
			st := m.until("t-1", offer.ReasonTaskCheckStatusUpdated)
			if require.NotNil(t, st.Check); *st.Check == (offer.CheckResult{Kind: offer.CheckCommand, Known: true, ExitCode: code}) {
				return
			}
			require.NotEqual(t, 9, st.Check.ExitCode, "it has the task's environment and its own, and nobody reads what it prints")
		}
	}
	result(7)
	require.NoError(t, os.WriteFile(filepath.Join(sandbox, "next"), []byte("0"), 0o644))
	require.NoError(t, os.Rename(filepath.Join(sandbox, "next"), filepath.Join(sandbox, "verdict")))
	result(0)

	ctx, cancel := context.WithCancel(t.Context())
	given := make(chan error, 1)
	hanging := fmt.Sprint(90_000_000 + os.Getpid()) // by which it is known outside its container, where it has another number
	go func() {
		_, err := s.askCommand(ctx, st.Container.ID, &offer.Command{Shell: true, Value: "sleep " + hanging + " & sleep " + hanging})
		given <- err
	}()
	hang := func() (n int) {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range all {
			if line, _ := os.ReadFile(file); string(line) == "sleep\x00"+hanging+"\x00" {
				n++
			}
		}
		return n
	}
	eventually(t, "a command hangs", func() bool { return hang() == 2 })
	cancel()
	require.Error(t, take(t, "the end of a probe that is given up", given))
	eventually(t, "its command has ended, with all that it has started", func() bool { return hang() == 0 })
	s.stop()
}

func TestAProbeThatIsUnderWayDoesNotHoldUpTheEndOfTheSlave(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Leave: true})
	<-s.Ready()
	task := command("t-1", "sleep 1000")
	task.Health = soon(offer.HealthCheck{Check: often(offer.CheckHTTP)})
	task.Health.Port, task.Health.Timeout = portOf(t, ln.Addr()), offer.MaxCheckTimeout
	m.send(launch(task))
	conn, err := ln.Accept() // and never answer
	require.NoError(t, err)
	defer conn.Close()
	s.stop()
}

// answering takes connections and does with each what is said, until the test ends.
func answering(t *testing.T, do func(c net.Conn)) *slavecore.Probe {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(c))
			do(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
	return probeOf(portOf(t, ln.Addr()))
}

func probeOf(port uint16) *slavecore.Probe {
	check := &offer.Check{Kind: offer.CheckHTTP, Port: port, Timeout: 200 * time.Millisecond}
	return &slavecore.Probe{Probe: 1, PID: os.Getpid(), Framework: &offer.Framework{}, Task: &offer.Task{Check: check}}
}

func TestAnswersThatAreNoneAreFailuresAndCostLittle(t *testing.T) {
	s, err := New(Config{WorkDir: "/nowhere", Masters: []string{"a:1"}})
	require.NoError(t, err)
	look := func(p *slavecore.Probe) slavecore.Probed {
		ctx, cancel := context.WithTimeout(t.Context(), p.Check().EffectiveTimeout())
		defer cancel()
		return s.look(ctx, p)
	}
	for name, do := range map[string]func(c net.Conn){
		"nothing":          func(net.Conn) {},
		"noise":            func(c net.Conn) { _, _ = io.WriteString(c, "\x00\x1b[31mhello\r\n\r\n") },
		"half an answer":   func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-") },
		"silence":          func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"endless headers":  func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"); endless(c, "A: b\r\n") },
		"endless progress": func(c net.Conn) { endless(c, "HTTP/1.1 100 Continue\r\n\r\n") },
	} {
		ev := look(answering(t, do))
		require.False(t, ev.Result.Known, name)
		require.False(t, ev.Void, name)
		require.NotEmpty(t, ev.Error, name)
		require.LessOrEqual(t, len(ev.Error), maxProbeError+3, name)
		require.NotContains(t, ev.Error, "\x1b", name)
	}
	for name, do := range map[string]func(c net.Conn){
		"a body without end": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 204 OK\r\n\r\n"); endless(c, "x") },
		"a body that hangs": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 204 OK\r\nContent-Length: 10\r\n\r\nx")
			_, _ = io.Copy(io.Discard, c)
		},
		"a body that is lost": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 204 OK\r\nContent-Length: 10\r\n\r\nx") },
	} {
		p := answering(t, do)
		p.Task.Check.Timeout = 30 * time.Second
		if name == "a body that hangs" {
			p.Task.Check.Timeout = 3 * time.Second // it is waited for
		}
		require.Equal(t, offer.CheckResult{Kind: offer.CheckHTTP, Known: true, Status: 204}, look(p).Result, name)
	}
	tls := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer tls.Close()
	p := probeOf(portOf(t, tls.Listener.Addr()))
	p.Task.Check.Scheme, p.Task.Check.Timeout = "https", 30*time.Second
	require.Equal(t, http.StatusTeapot, look(p).Result.Status, "nobody asks whose certificate it is")

	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	p = probeOf(portOf(t, ln.Addr()))
	require.NoError(t, ln.Close())
	p.Task.Check.Kind = offer.CheckTCP
	require.Equal(t, offer.CheckResult{Kind: offer.CheckTCP, Known: true}, look(p).Result)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.True(t, s.look(ctx, p).Void, "one that was given up says nothing")
}

func endless(c net.Conn, text string) {
	block := []byte(strings.Repeat(text, 1000))
	for {
		if _, err := c.Write(block); err != nil {
			return
		}
	}
}
