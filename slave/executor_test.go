package slave

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/framework/executor"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// executorMain makes a copy of the test program a custom executor.
func executorMain() {
	if os.Getenv("MEROS_TEST_EXECUTOR") == "" {
		return
	}
	cfg, err := executor.FromEnvironment()
	if err == nil {
		err = executor.Run(context.Background(), cfg, testExecutor{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// testExecutor says that tasks run, ends them when it is told to, and sends every message back.
type testExecutor struct{}

func (testExecutor) Launch(_ context.Context, s *executor.Session, t offer.Task) error {
	return s.Update(offer.Status{TaskID: t.ID, State: offer.Running, Message: string(t.Data)})
}

func (testExecutor) Kill(_ context.Context, s *executor.Session, id offer.TaskID, _ offer.KillPolicy) error {
	if strings.HasPrefix(string(id), "deaf") {
		return nil
	}
	return s.Update(offer.Status{TaskID: id, State: offer.Killed})
}

func (testExecutor) Message(_ context.Context, s *executor.Session, data []byte) error {
	if text, ok := cutPrefix(string(data), "finish "); ok {
		return s.Update(offer.Status{TaskID: offer.TaskID(text), State: offer.Finished})
	}
	s.Message(append([]byte("pid "), fmt.Sprint(os.Getpid())...))
	return nil
}

func (testExecutor) Shutdown(context.Context, *executor.Session) error { return nil }

func cutPrefix(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || s[:len(prefix)] != prefix {
		return s, false
	}
	return s[len(prefix):], true
}

// executorIsolation lets an executor run as the test's own user: the test program is in a folder that no other user can enter.
func executorIsolation() isolation.Chain {
	return isolation.Chain{process.New(process.Config{User: "root", AllowRoot: true})}
}

func executorTask(id offer.TaskID, data string) offer.Task {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return offer.Task{ID: id, SlaveID: "s-1", Data: []byte(data), Executor: &offer.Executor{ID: "e-1", Resources: resource.Must("cpus:0.1;mem:32"),
		Command: &offer.Command{Value: self, Arguments: []string{self},
			Environment: []offer.Variable{{Name: "MEROS_TEST_EXECUTOR", Value: "1"}}}}}
}

func executorLaunch(tasks ...offer.Task) *message.Launch {
	l := launch(tasks...)
	l.Executor = tasks[0].Executor
	return l
}

func TestACustomExecutorRunsTasksAndOutlivesTheSlave(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	cfg := Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolation: executorIsolation()}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	m.send(executorLaunch(executorTask("t-1", "one")))
	require.Equal(t, "one", m.state("t-1", offer.Running).Message)
	m.send(executorLaunch(executorTask("t-2", "two")))
	st := m.state("t-2", offer.Running)
	require.Equal(t, "two", st.Message)
	require.Equal(t, offer.ExecutorID("e-1"), st.ExecutorID)

	pid := func() string {
		m.send(&message.ToExecutor{Framework: "f-1", Executor: "e-1", Data: []byte("who are you")})
		return string(take(t, "a message", m.others).(*message.FromExecutor).Data)
	}
	before := pid()
	m.send(&message.ToExecutor{Framework: "f-1", Executor: "e-1", Data: []byte("finish t-1")})
	m.state("t-1", offer.Finished)
	s.stop()

	s = startSlave(t, cfg)
	re := take(t, "a re-registration", m.register).(*message.SlaveReregister)
	require.Len(t, re.Executors, 1)
	require.Equal(t, before, pid(), "the same process")
	m.send(&message.Kill{Framework: "f-1", Task: "t-2"})
	for { // the slave may say first that it is being killed
		st := take(t, "killed", m.updates).Status
		require.Equal(t, offer.TaskID("t-2"), st.TaskID)
		if st.State == offer.Killed {
			break
		}
	}
	m.send(&message.ExecutorShutdown{Framework: "f-1", Executor: "e-1"})
	ended := take(t, "its end", m.others).(*message.ExecutorExited)
	require.Equal(t, offer.ExecutorID("e-1"), ended.Executor)
	require.True(t, ended.Exit.Success(), ended.Exit.String())
	_, err := os.Stat(filepath.Join(dir, "slaves/s-1/frameworks/f-1/executors/e-1/stderr"))
	require.NoError(t, err)
	s.stop()
}

func TestAnExecutorThatDiesTakesItsTasksWithIt(t *testing.T) {
	pids := make(chan int, 1)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolation: executorIsolation(),
		Observer: Observer{Started: func(_ string, pid int) { pids <- pid }}})
	take(t, "a registration", m.register)
	m.send(executorLaunch(executorTask("t-1", "one")))
	st := m.state("t-1", offer.Running)
	first, err := process.Identify(take(t, "a process", pids))
	require.NoError(t, err)
	require.NoError(t, first.Signal(9))
	st = m.state("t-1", offer.Failed)
	require.Equal(t, offer.ReasonExecutorTerminated, st.Reason)
	s.stop()
}

// An executor that does not end a task whose time is over is ended with all of its tasks, where it is configured so.
func TestAnExecutorThatDoesNotEndATaskInTimeIsEnded(t *testing.T) {
	pids := make(chan int, 1)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolation: executorIsolation(),
		Observer: Observer{Started: func(_ string, pid int) { pids <- pid }}})
	take(t, "a registration", m.register)
	watched := func(id offer.TaskID) offer.Task {
		task := executorTask(id, "")
		task.Executor.EndWithLateTask, task.Executor.ShutdownGrace = true, 100*time.Millisecond
		return task
	}
	m.send(executorLaunch(watched("other")))
	m.state("other", offer.Running)
	first, err := process.Identify(take(t, "a process", pids))
	require.NoError(t, err)
	deaf := watched("deaf")
	deaf.MaxCompletion = time.Millisecond
	m.send(executorLaunch(deaf))
	ends := map[offer.TaskID]*offer.Status{}
	for len(ends) < 2 {
		if st := take(t, "the ends", m.updates).Status; st.State.Terminal() {
			ends[st.TaskID] = st
		}
	}
	require.Equal(t, offer.Failed, ends["deaf"].State)
	require.Equal(t, offer.ReasonMaxCompletionTimeReached, ends["deaf"].Reason)
	require.Equal(t, offer.Failed, ends["other"].State)
	require.Equal(t, offer.ReasonExecutorTerminated, ends["other"].Reason)
	require.Equal(t, `its executor was ended because it did not end task "deaf" in time`, ends["other"].Message)
	eventually(t, "it has ended", func() bool { return !first.Alive() })
	s.stop()
}

func TestAStrangerIsNotAnExecutor(t *testing.T) {
	network := memtransport.New()
	newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	err := executor.Run(t.Context(), executor.Config{Socket: s.executors.path, Token: "guessed", Framework: "f-1", Executor: "e-1"}, testExecutor{})
	require.ErrorIs(t, err, &offer.Refusal{Reason: offer.ReasonUnauthenticated})
	s.stop()
}

var _ Network = transport.TCP()
