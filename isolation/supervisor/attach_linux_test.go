package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// size is of a file in the sandbox, zero if it is missing.
func (b *bench) size(id, name string) int64 {
	st, err := os.Stat(filepath.Join(b.base, "sandbox-"+id, name))
	if err != nil {
		return 0
	}
	return st.Size()
}

func TestATaskThatPrintsForEverIsBounded(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "head -c 104857600 /dev/zero | tr '\\0' x; echo end >&2")
	s.Streams = &offer.Streams{OutputBytes: 1 << 20, OutputFiles: 2}
	b.r.Start(s, false)
	pid := b.started("a")
	supervisor := b.supervisorOf(pid)
	peak := 0
	eventually(t, "it has printed 100 MiB", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", supervisor))
		if err == nil {
			for line := range strings.Lines(string(status)) {
				if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
					_, _ = fmt.Sscan(rest, &peak)
				}
			}
		}
		return b.output("a", "stderr") == "end\n"
	})
	require.True(t, b.exited("a").Exit.Success())
	var all int64
	for _, name := range []string{"stdout", "stdout.1", "stdout.2"} {
		require.LessOrEqual(t, b.size("a", name), int64(1<<20))
		all += b.size("a", name)
	}
	require.Greater(t, all, int64(2<<20))
	require.NoFileExists(t, filepath.Join(s.Sandbox, "stdout.3"))
	require.Less(t, peak, 64<<10, "KiB of memory of the supervisor")
}

func TestOutputIsKeptWhileNoSlaveRuns(t *testing.T) {
	b := newBench(t)
	flag := filepath.Join(b.base, "sandbox-a", "go")
	b.r.Start(b.spec("a", "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two; seq 1 100000; echo three"), false)
	b.started("a")
	require.NoError(t, b.r.Close())
	require.NoError(t, os.WriteFile(flag, nil, 0o644))
	eventually(t, "it has printed", func() bool { return strings.HasSuffix(b.output("a", "stdout"), "three\n") })
	require.Equal(t, 100_003, strings.Count(b.output("a", "stdout"), "\n"))
	b.open([]string{"a"})
	b.r.Adopt("a")
	ev := b.next()
	if ev.Kind == isolation.Started {
		ev = b.next()
	}
	require.True(t, ev.Known && ev.Exit.Success(), "%+v", ev)
}

func TestATaskThatReplacesItsOutputHarmsNobody(t *testing.T) {
	b := newBench(t)
	victim := filepath.Join(b.base, "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o644))
	for i, put := range []string{"ln -s " + victim + " stdout", "mkfifo stdout", "mkdir -p stdout/x"} {
		id := fmt.Sprint("a", i)
		s := b.spec(id, "rm stdout; "+put+"; head -c 3000000 /dev/zero; echo done >&2")
		s.Streams = &offer.Streams{OutputBytes: 1 << 20}
		b.r.Start(s, false)
		b.started(id)
		require.True(t, b.exited(id).Exit.Success())
		require.Equal(t, "done\n", b.output(id, "stderr"))
		require.Equal(t, "precious", read(t, victim))
		for _, name := range []string{"stdout", "stdout.1"} {
			if st, err := os.Lstat(filepath.Join(s.Sandbox, name)); err == nil && st.Mode().IsRegular() {
				require.LessOrEqual(t, st.Size(), int64(1<<20))
			}
		}
	}
}

func TestATaskCanOpenItsOutputByName(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "echo plain; echo by name > /dev/stdout; echo errors > /dev/stderr; grep flags /proc/self/fdinfo/1 >&2"), false)
	b.started("a")
	require.True(t, b.exited("a").Exit.Success())
	require.Equal(t, "plain\nby name\n", b.output("a", "stdout"))
	errs := b.output("a", "stderr")
	require.True(t, strings.HasPrefix(errs, "errors\nflags:"), errs)
	require.NotContains(t, errs, "04001", "a task's output blocks, as programs expect")
}

// attach attaches to a container.
func (b *bench) attach(id string, input bool) (isolation.Session, isolation.Attached, *collected, *collected) {
	b.t.Helper()
	out, errs := &collected{}, &collected{}
	s, got, err := b.r.Attach(context.Background(), id, isolation.AttachSpec{Stdin: input, Stdout: out, Stderr: errs})
	require.NoError(b.t, err)
	return s, got, out, errs
}

func TestWhoIsAttachedSeesWhatIsPrintedFromThenOnAndTheEnd(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "echo before; read word; echo got $word; echo bad >&2; exit 4")
	s.Streams = &offer.Streams{Stdin: true}
	b.r.Start(s, false)
	b.started("a")
	eventually(t, "it has begun", func() bool { return b.output("a", "stdout") == "before\n" })
	first, got, out1, errs1 := b.attach("a", true)
	require.Equal(t, isolation.Attached{Stdin: true}, got)
	_, _, err := b.r.Attach(context.Background(), "a", isolation.AttachSpec{Stdin: true})
	require.ErrorContains(t, err, "somebody else is attached")
	second, got, out2, _ := b.attach("a", false)
	require.Equal(t, isolation.Attached{}, got)
	gone, _, _, _ := b.attach("a", false)
	require.NoError(t, gone.Close())
	_, err = first.Stdin().Write([]byte("word\n"))
	require.NoError(t, err)
	for _, s := range []isolation.Session{first, second} {
		exit, err := s.Wait()
		require.NoError(t, err)
		require.Equal(t, offer.Exit{Code: 4}, exit)
	}
	require.Equal(t, "before\ngot word\n", out1.String(), "the first also sees what it had asked")
	require.Equal(t, "got word\n", out2.String())
	require.Equal(t, "bad\n", errs1.String())
	require.Equal(t, 4, b.exited("a").Exit.Code)
	require.Equal(t, "before\ngot word\n", b.output("a", "stdout"))
	_, _, err = b.r.Attach(context.Background(), "a", isolation.AttachSpec{})
	require.ErrorIs(t, err, isolation.ErrNotRunning)
}

func TestDetachingLeavesTheTaskAndItsInput(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "while read word; do echo got $word; done; echo end")
	s.Streams = &offer.Streams{Stdin: true}
	b.r.Start(s, false)
	b.started("a")
	for i := range 3 {
		var again isolation.Session
		eventually(t, "nobody else is attached", func() bool {
			out := &collected{}
			s, _, err := b.r.Attach(context.Background(), "a", isolation.AttachSpec{Stdin: true, Stdout: out})
			if err != nil {
				return false
			}
			again = s
			_, err = s.Stdin().Write([]byte(fmt.Sprintln(i)))
			require.NoError(t, err)
			eventually(t, "it answers", func() bool { return strings.HasSuffix(out.String(), fmt.Sprintf("got %d\n", i)) })
			return true
		})
		require.NoError(t, again.Close())
	}
	b.restart("a")
	b.r.Adopt("a")
	b.started("a")
	last, got, _, _ := b.attach("a", true)
	require.True(t, got.Stdin)
	require.NoError(t, last.Stdin().Close())
	exit, err := last.Wait()
	require.NoError(t, err)
	require.True(t, exit.Success())
	b.exited("a")
	require.Equal(t, "got 0\ngot 1\ngot 2\nend\n", b.output("a", "stdout"))
}

func TestATaskThatDoesNotReadLetsGoOfWhoTypes(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "sleep 1000")
	s.Streams = &offer.Streams{Stdin: true}
	b.r.Start(s, false)
	b.started("a")
	for range 3 {
		eventually(t, "it can be attached to", func() bool {
			s, _, err := b.r.Attach(context.Background(), "a", isolation.AttachSpec{Stdin: true})
			if err != nil {
				return false
			}
			var typing sync.WaitGroup
			typing.Go(func() { _, _ = s.Stdin().Write(make([]byte, 1<<20)) })
			require.NoError(t, s.Close())
			typing.Wait()
			return true
		})
	}
}

func TestATaskCanHaveATerminal(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "test -t 0 && test -t 1 && test -t 2 && stty size; trap 'stty size; read word; echo got $word; exit 6' WINCH; echo ready; while :; do sleep 0.05; done")
	s.Streams = &offer.Streams{Terminal: &offer.TerminalSize{Rows: 20, Columns: 70}}
	b.r.Start(s, false)
	b.started("a")
	eventually(t, "it is ready", func() bool { return strings.Contains(b.output("a", "stdout"), "ready") })
	a, got, out, _ := b.attach("a", true)
	require.Equal(t, isolation.Attached{Stdin: true, Terminal: true}, got)
	require.NoError(t, a.Resize(offer.TerminalSize{Rows: 21, Columns: 71}))
	eventually(t, "it has a new size", func() bool { return strings.Contains(out.String(), "21 71\r\n") })
	_, err := a.Stdin().Write([]byte("word\n"))
	require.NoError(t, err)
	exit, err := a.Wait()
	require.NoError(t, err)
	require.Equal(t, offer.Exit{Code: 6}, exit)
	require.Equal(t, 6, b.exited("a").Exit.Code)
	require.Equal(t, "20 70\r\nready\r\n21 71\r\nword\r\ngot word\r\n", b.output("a", "stdout"))
	require.Empty(t, b.output("a", "stderr"))
}

func TestWhoIsAttachedAndDoesNotTakeTheOutputIsCutAndTheTaskGoesOn(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "while [ ! -e go ]; do sleep 0.05; done; head -c 20000000 /dev/zero; echo end >&2; sleep 1000"), false)
	b.started("a")
	free := make(chan struct{})
	var once sync.Once
	slow, _, err := b.r.Attach(context.Background(), "a", isolation.AttachSpec{Stdout: writer(func(p []byte) (int, error) {
		<-free
		return len(p), nil
	})})
	require.NoError(t, err)
	defer once.Do(func() { close(free) })
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "go"), nil, 0o644))
	eventually(t, "the task is not held up", func() bool { return b.output("a", "stderr") == "end\n" })
	once.Do(func() { close(free) })
	_, err = slow.Wait()
	require.Error(t, err)
	_, _, exit := b.exec("a", shell("exit 3"))
	require.Equal(t, 3, exit.Code)
}

func TestInputThatIsBinaryGoesThrough(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "cat")
	s.Streams = &offer.Streams{Stdin: true}
	b.r.Start(s, false)
	b.started("a")
	a, _, out, _ := b.attach("a", true)
	all := make([]byte, 2<<20)
	for i := range all {
		all[i] = byte(i * 7)
	}
	_, err := a.Stdin().Write(all)
	require.NoError(t, err)
	require.NoError(t, a.Stdin().Close())
	exit, err := a.Wait()
	require.NoError(t, err)
	require.True(t, exit.Success())
	require.True(t, bytes.Equal(all, []byte(out.String())))
	b.r.Kill("a", true)
	require.NotEqual(t, int(syscall.SIGKILL), b.exited("a").Exit.Signal)
}
