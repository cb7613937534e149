package executor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

// A scriptedSlave is the slave's end of the socket.
type scriptedSlave struct {
	t    *testing.T
	path string
	stop context.CancelFunc
	conn chan *transport.Conn
	got  chan message.Message
	wg   sync.WaitGroup
}

func newSlave(t *testing.T, path string) *scriptedSlave {
	s := &scriptedSlave{t: t, path: path, conn: make(chan *transport.Conn, 10), got: make(chan message.Message, 100)}
	_ = os.Remove(path)
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	mux := transport.NewMux(ln, transport.MuxConfig{})
	node := mux.Listener(transport.Node)
	var mu sync.Mutex
	var conns []*transport.Conn
	s.wg.Go(func() { _ = mux.Run(ctx) })
	s.wg.Go(func() {
		for {
			nc, err := node.Accept()
			if err != nil {
				return
			}
			c := transport.NewConn(nc, transport.ConnConfig{})
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			s.conn <- c
			s.wg.Go(func() {
				for {
					envs, err := c.Receive(nil)
					if err != nil {
						return
					}
					for _, e := range envs {
						s.got <- e.Message
					}
				}
			})
		}
	})
	s.stop = func() {
		cancel()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		s.wg.Wait()
	}
	t.Cleanup(func() { s.stop() })
	return s
}

func take[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		require.Fail(t, "nothing came", what)
		panic("unreachable")
	}
}

func send(t *testing.T, c *transport.Conn, m message.Message) {
	require.NoError(t, c.Send(message.Envelope{Message: m}))
}

func config(t *testing.T) Config {
	dir, err := os.MkdirTemp("/tmp", "me")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return Config{Socket: filepath.Join(dir, "s"), Token: "secret", Framework: "f-1", Executor: "e-1"}
}

// funcs is an Executor of funcs.
type funcs struct {
	launch   func(s *Session, t offer.Task) error
	kill     func(s *Session, id offer.TaskID, p offer.KillPolicy) error
	message  func(s *Session, data []byte) error
	shutdown func(s *Session) error
}

func (f funcs) Launch(_ context.Context, s *Session, t offer.Task) error {
	if f.launch == nil {
		return s.Update(offer.Status{TaskID: t.ID, State: offer.Running})
	}
	return f.launch(s, t)
}

func (f funcs) Kill(_ context.Context, s *Session, id offer.TaskID, p offer.KillPolicy) error {
	return f.kill(s, id, p)
}

func (f funcs) Message(_ context.Context, s *Session, data []byte) error { return f.message(s, data) }

func (f funcs) Shutdown(_ context.Context, s *Session) error {
	if f.shutdown == nil {
		return nil
	}
	return f.shutdown(s)
}

func start(t *testing.T, cfg Config, ex Executor) (context.CancelFunc, <-chan error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, cfg, ex) }()
	t.Cleanup(cancel)
	return cancel, done
}

func TestWhatTheSlaveHasNotTakenOverIsToldAgain(t *testing.T) {
	cfg := config(t)
	slave := newSlave(t, cfg.Socket)
	launched := make(chan offer.TaskID, 10)
	cancel, done := start(t, cfg, funcs{launch: func(s *Session, task offer.Task) error {
		launched <- task.ID
		if task.ID == "silent" {
			return nil
		}
		return s.Update(offer.Status{TaskID: task.ID, State: offer.Running})
	}})
	sub := take(t, "a subscription", slave.got).(*message.ExecutorSubscribe)
	require.Equal(t, &message.ExecutorSubscribe{Framework: "f-1", Executor: "e-1", Token: "secret"}, sub)
	c := take(t, "a connection", slave.conn)
	send(t, c, &message.ExecutorSubscribed{Executor: offer.Executor{ID: "e-1"}})
	send(t, c, &message.ExecutorLaunch{Tasks: []offer.Task{{ID: "a"}, {ID: "b"}}})
	a := take(t, "an update", slave.got).(*message.ExecutorUpdate).Status
	b := take(t, "an update", slave.got).(*message.ExecutorUpdate).Status
	require.Equal(t, offer.TaskID("a"), a.TaskID)
	require.False(t, a.UUID.IsZero())
	send(t, c, &message.ExecutorAck{Task: "a", UUID: a.UUID})
	send(t, c, &message.ExecutorLaunch{Tasks: []offer.Task{{ID: "silent"}}}) // when this is launched, the acknowledgement has come too
	for range 3 {
		take(t, "a launch", launched)
	}
	slave.stop()

	slave = newSlave(t, cfg.Socket)
	sub = take(t, "a subscription", slave.got).(*message.ExecutorSubscribe)
	var tasks []offer.TaskID
	for _, task := range sub.Tasks {
		tasks = append(tasks, task.ID)
	}
	require.ElementsMatch(t, []offer.TaskID{"b", "silent"}, tasks, "those of which the slave has no update")
	require.Len(t, sub.Updates, 1)
	require.Equal(t, b.UUID, sub.Updates[0].UUID, "the same update, not another")
	c = take(t, "a connection", slave.conn)
	send(t, c, &message.ExecutorSubscribed{})
	send(t, c, &message.ExecutorAck{Task: "b", UUID: b.UUID})
	send(t, c, &message.ExecutorLaunch{Tasks: []offer.Task{{ID: "a"}, {ID: "c"}}})
	require.Equal(t, offer.TaskID("c"), take(t, "a launch", launched), "what was launched is not launched again")
	cancel()
	require.NoError(t, take(t, "the end", done))
}

func TestAShutdownDeliversTheLastUpdates(t *testing.T) {
	cfg := config(t)
	cfg.ShutdownGrace = 50 * time.Millisecond
	slave := newSlave(t, cfg.Socket)
	_, done := start(t, cfg, funcs{
		kill: func(s *Session, id offer.TaskID, p offer.KillPolicy) error {
			return s.Update(offer.Status{TaskID: id, State: offer.Killing, Message: p.Grace.String()})
		},
		message: func(s *Session, data []byte) error {
			require.True(t, s.Message(append([]byte("re: "), data...)))
			return nil
		},
		shutdown: func(s *Session) error { return s.Update(offer.Status{TaskID: "a", State: offer.Killed}) },
	})
	take(t, "a subscription", slave.got)
	c := take(t, "a connection", slave.conn)
	send(t, c, &message.ExecutorSubscribed{})
	send(t, c, &message.ExecutorLaunch{Tasks: []offer.Task{{ID: "a", Kill: offer.KillPolicy{Grace: time.Minute}}}, Group: true})
	take(t, "running", slave.got)
	send(t, c, &message.ExecutorKill{Task: "a"})
	require.Equal(t, "1m0s", take(t, "killing", slave.got).(*message.ExecutorUpdate).Status.Message, "the task's own policy")
	send(t, c, &message.ExecutorKill{Task: "a", Policy: &offer.KillPolicy{Grace: time.Second}})
	require.Equal(t, "1s", take(t, "killing", slave.got).(*message.ExecutorUpdate).Status.Message)
	send(t, c, &message.ExecutorMessage{Data: []byte("hi")})
	require.Equal(t, "re: hi", string(take(t, "a message", slave.got).(*message.ExecutorMessage).Data))
	send(t, c, &message.ExecutorStop{})
	require.Equal(t, offer.Killed, take(t, "killed", slave.got).(*message.ExecutorUpdate).Status.State)
	require.NoError(t, take(t, "the end", done), "it waits for the acknowledgement no longer than the grace")
}

func TestAHandlerThatFailsOrPanicsEndsItsSession(t *testing.T) {
	broken := errors.New("broken")
	for want, launch := range map[error]func(*Session, offer.Task) error{
		broken:   func(*Session, offer.Task) error { return broken },
		ErrPanic: func(*Session, offer.Task) error { panic("oh") },
	} {
		cfg := config(t)
		slave := newSlave(t, cfg.Socket)
		_, done := start(t, cfg, funcs{launch: launch})
		take(t, "a subscription", slave.got)
		send(t, take(t, "a connection", slave.conn), &message.ExecutorLaunch{Tasks: []offer.Task{{ID: "a"}}})
		require.ErrorIs(t, take(t, "the end", done), want)
	}
}

func TestASlaveThatRefusesOrStaysAwayEndsRun(t *testing.T) {
	cfg := config(t)
	slave := newSlave(t, cfg.Socket)
	_, done := start(t, cfg, funcs{})
	c := take(t, "a connection", slave.conn)
	c.Refuse(offer.Refuse(offer.ReasonUnauthenticated, "no such executor"))
	require.ErrorIs(t, take(t, "the end", done), &offer.Refusal{Reason: offer.ReasonUnauthenticated})

	cfg = config(t)
	cfg.RecoveryTimeout = time.Millisecond
	_, done = start(t, cfg, funcs{})
	require.ErrorIs(t, take(t, "the end", done), ErrSlaveLost)

	cfg = config(t)
	cfg.NoCheckpoint = true
	slave = newSlave(t, cfg.Socket)
	_, done = start(t, cfg, funcs{})
	take(t, "a subscription", slave.got)
	c = take(t, "a connection", slave.conn)
	send(t, c, &message.ExecutorSubscribed{})
	send(t, c, &message.ExecutorLaunch{Tasks: []offer.Task{{ID: "a"}}})
	take(t, "running", slave.got)
	slave.stop()
	require.ErrorIs(t, take(t, "the end", done), ErrSlaveLost)
}

func TestTheEnvironmentIsReadOnceAndTheTokenTaken(t *testing.T) {
	_, err := FromEnvironment()
	require.ErrorContains(t, err, "Socket is empty")
	for name, value := range map[string]string{"MEROS_EXECUTOR_SOCKET": "/s", "MEROS_EXECUTOR_TOKEN": "secret", "MESOS_FRAMEWORK_ID": "f",
		"MESOS_EXECUTOR_ID": "e", "MESOS_CHECKPOINT": "0", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": "7s"} {
		t.Setenv(name, value)
	}
	cfg, err := FromEnvironment()
	require.NoError(t, err)
	require.Equal(t, Config{Socket: "/s", Token: "secret", Framework: "f", Executor: "e", NoCheckpoint: true, ShutdownGrace: 7 * time.Second}, cfg)
	_, there := os.LookupEnv("MEROS_EXECUTOR_TOKEN")
	require.False(t, there)
	t.Setenv("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "soon")
	_, err = FromEnvironment()
	require.ErrorContains(t, err, `is "soon"`)
}

func TestAnUpdateThatIsNotAnExecutorsIsRefused(t *testing.T) {
	s := &Session{}
	for _, st := range []offer.Status{{State: offer.Running}, {TaskID: "a", State: offer.Staging}, {TaskID: "a", State: offer.Unknown}, {TaskID: "a", State: 99}} {
		require.Error(t, s.Update(st), fmt.Sprint(st.State))
	}
}
