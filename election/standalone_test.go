package election

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("ELECTION_TEST_CRASH_DIR"); dir != "" {
		crashingMaster(dir)
	}
	goleak.VerifyTestMain(m)
}

// A ledger is a state machine that keeps every entry and counts the openings.
type ledger struct {
	mu      sync.Mutex
	reign   uint64
	entries []string
	last    uint64
}

const opening = "\x00open"

func (l *ledger) Apply(index uint64, entry []byte) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index != l.last+1 {
		return nil, fmt.Errorf("entry %d came after %d", index, l.last)
	}
	if string(entry) == "poison" {
		return nil, errors.New("unknown kind")
	}
	l.last = index
	if string(entry) == opening {
		l.reign++
		return l.reign, nil
	}
	l.entries = append(l.entries, string(entry))
	return len(l.entries), nil
}

func (l *ledger) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.entries, "\n")
}

type ledgerSnapshot struct {
	reign, last uint64
	text        string
}

func (l *ledger) Snapshot() (Snapshot, error) {
	return ledgerSnapshot{reign: l.reign, last: l.last, text: l.text()}, nil
}

func (s ledgerSnapshot) WriteTo(w io.Writer) (int64, error) {
	b := binary.BigEndian.AppendUint64(nil, s.reign)
	b = binary.BigEndian.AppendUint64(b, s.last)
	n, err := w.Write(append(b, s.text...))
	return int64(n), err
}

func (ledgerSnapshot) Release() {}

func (l *ledger) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(b) < 16 {
		return io.ErrUnexpectedEOF
	}
	l.reign, l.last = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	l.entries = nil
	if len(b) > 16 {
		l.entries = strings.Split(string(b[16:]), "\n")
	}
	return nil
}

// A running elector, with what its Run returned.
type running struct {
	Elector
	state *ledger
	stop  context.CancelFunc
	ended chan error
}

func start(t *testing.T, e Elector) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Elector: e, state: &ledger{}, stop: cancel, ended: make(chan error, 1)}
	go func() {
		r.ended <- e.Run(ctx, Env{StateMachine: r.state, Opening: func() []byte { return []byte(opening) }, Advertise: "127.0.0.1:5050"})
	}()
	return r
}

func (r *running) close(t *testing.T) {
	t.Helper()
	r.stop()
	require.NoError(t, <-r.ended)
	_, open := <-r.Terms()
	require.False(t, open)
}

func propose(t Term, entry string) error {
	errs := make(chan error, 1)
	t.Propose([]byte(entry), func(_ uint64, _ any, err error) { errs <- err })
	return <-errs
}

func TestStandaloneLeadsUntilItEnds(t *testing.T) {
	r := start(t, Standalone())
	term := <-r.Terms()
	require.EqualValues(t, 1, term.Reign())
	leader, ok := r.Leader()
	require.True(t, ok)
	require.Equal(t, "127.0.0.1:5050", leader.Address)
	require.NoError(t, propose(term, "a"))
	require.ErrorIs(t, propose(term, strings.Repeat("x", MaxEntry+1)), ErrTooLarge)
	changed := r.LeaderChanged()
	r.close(t)
	<-term.Done()
	<-changed
	require.ErrorIs(t, propose(term, "b"), ErrDeposed)
	require.Equal(t, "a", r.state.text())
	require.Error(t, r.Run(context.Background(), Env{}))
}

func TestStandaloneKeepsTheOrderOfCalls(t *testing.T) {
	r := start(t, Standalone(InDir(t.TempDir())))
	term := <-r.Terms()
	var wg sync.WaitGroup
	var indexes []uint64
	var want []string
	for i := range 5000 {
		wg.Add(1)
		want = append(want, fmt.Sprint(i))
		term.Propose(fmt.Append(nil, i), func(index uint64, _ any, err error) {
			if err == nil {
				indexes = append(indexes, index)
			}
			wg.Done()
		})
	}
	wg.Wait()
	require.Len(t, indexes, 5000)
	require.IsIncreasing(t, indexes)
	require.Equal(t, strings.Join(want, "\n"), r.state.text())
	r.close(t)
}

func TestReignRisesAndEntriesSurviveEachStart(t *testing.T) {
	dir := t.TempDir()
	for i := range 4 {
		r := start(t, Standalone(InDir(dir), SnapshotEvery(3)))
		term := <-r.Terms()
		require.EqualValues(t, i+1, term.Reign())
		for j := range 5 {
			require.NoError(t, propose(term, fmt.Sprintf("%d.%d", i, j)))
		}
		if i == 1 {
			require.NoError(t, r.Elector.(Snapshotter).TakeSnapshot(context.Background()))
		}
		r.close(t)
		require.Len(t, r.state.entries, (i+1)*5)
	}
	_, err := os.Stat(filepath.Join(dir, snapshotFile))
	require.NoError(t, err)
}

// Whatever mix of snapshot and log a restart finds, it gives the state that applying every entry gave (L6).
func TestRestoreEqualsReplay(t *testing.T) {
	for _, every := range []int{1, 7, 1000} {
		dir := t.TempDir()
		r := start(t, Standalone(InDir(dir), SnapshotEvery(every)))
		term := <-r.Terms()
		for j := range 40 {
			require.NoError(t, propose(term, fmt.Sprint(j)))
		}
		r.close(t)
		again := start(t, Standalone(InDir(dir)))
		<-again.Terms()
		again.close(t)
		require.Equal(t, r.state.text(), again.state.text())
		require.EqualValues(t, 2, again.state.reign)
	}
}

func TestASecondHolderOfTheFolderIsRefused(t *testing.T) {
	dir := t.TempDir()
	r := start(t, Standalone(InDir(dir)))
	<-r.Terms()
	err := Standalone(InDir(dir)).Run(context.Background(), Env{StateMachine: &ledger{}, Opening: func() []byte { return nil }})
	require.ErrorIs(t, err, ErrFolderInUse)
	require.ErrorContains(t, err, filepath.Join(dir, lockFile))
	require.Equal(t, 2, strings.Count(err.Error(), fmt.Sprint(os.Getpid())), err)
	r.close(t)
}

func TestAFolderOfAnotherClusterIsRefused(t *testing.T) {
	dir := t.TempDir()
	r := start(t, Standalone(InDir(dir), ForCluster("east")))
	<-r.Terms()
	r.close(t)
	err := Standalone(InDir(dir), ForCluster("west")).Run(context.Background(),
		Env{StateMachine: &ledger{}, Opening: func() []byte { return nil }})
	require.ErrorIs(t, err, ErrFolderForeign)
	require.ErrorContains(t, err, `cluster "east"`)
	require.ErrorContains(t, err, `cluster "west"`)
	_, err = OpenFolder(dir, Identity{Elector: "raft"})
	require.ErrorContains(t, err, `elector "standalone"`)
}

func TestDamageAtRestIsFound(t *testing.T) {
	fill := func(t *testing.T) string {
		dir := t.TempDir()
		r := start(t, Standalone(InDir(dir)))
		term := <-r.Terms()
		for range 20 {
			require.NoError(t, propose(term, "precious entry"))
		}
		require.NoError(t, r.Elector.(Snapshotter).TakeSnapshot(context.Background()))
		for range 20 {
			require.NoError(t, propose(term, "another entry"))
		}
		r.close(t)
		return dir
	}
	restart := func(dir string) error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return Standalone(InDir(dir)).Run(ctx, Env{StateMachine: &ledger{}, Opening: func() []byte { return []byte(opening) }})
	}
	edit := func(t *testing.T, path, old, new string) {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(b), old)
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, new)), 0o600))
	}
	t.Run("snapshot", func(t *testing.T) {
		dir := fill(t)
		edit(t, filepath.Join(dir, snapshotFile), "precious", "pernicious"[:8])
		require.ErrorContains(t, restart(dir), "damaged")
	})
	t.Run("entry", func(t *testing.T) {
		dir := fill(t)
		edit(t, filepath.Join(dir, standaloneFile), "another", "anather")
		require.ErrorContains(t, restart(dir), "damaged")
	})
	t.Run("snapshot lost", func(t *testing.T) {
		dir := fill(t)
		require.NoError(t, os.Remove(filepath.Join(dir, snapshotFile)))
		require.ErrorContains(t, restart(dir), "is missing")
	})
	t.Run("log older than snapshot", func(t *testing.T) {
		dir := fill(t)
		require.NoError(t, os.Remove(filepath.Join(dir, standaloneFile)))
		old := t.TempDir()
		r := start(t, Standalone(InDir(old)))
		<-r.Terms()
		r.close(t)
		b, err := os.ReadFile(filepath.Join(old, standaloneFile))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, standaloneFile), b, 0o600))
		require.ErrorContains(t, restart(dir), "older copy")
	})
}

func TestAnEntryOfAnUnknownKindStopsTheMaster(t *testing.T) {
	r := start(t, Standalone())
	term := <-r.Terms()
	require.ErrorIs(t, propose(term, "poison"), ErrUnknown)
	err := <-r.ended
	require.ErrorContains(t, err, "apply entry 2: unknown kind")
	<-term.Done()
}

func TestResignEndsTheReignAndTheNextIsHigher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Standalone())
		term := <-r.Terms()
		require.NoError(t, term.Resign(context.Background()))
		<-term.Done()
		require.ErrorIs(t, propose(term, "late"), ErrDeposed)
		_, leads := r.Leader()
		require.False(t, leads)
		next := <-r.Terms()
		require.EqualValues(t, 2, next.Reign())
		require.NoError(t, term.Resign(context.Background())) // an old reign cannot end a new one
		require.NoError(t, propose(next, "on time"))
		r.close(t)
	})
}

// A slowDisk answers when it is told to.
type slowDisk struct {
	memoryStore
	answers chan error
}

func (d slowDisk) append(uint64, [][]byte) error { return <-d.answers }

func TestADiskThatHangsEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := slowDisk{answers: make(chan error, 1)}
		s := Standalone().(*standalone)
		s.newStore = func() (standaloneStore, error) { return d, nil }
		d.answers <- nil
		r := start(t, s)
		term := <-r.Terms()
		began := time.Now()
		flight, queued := make(chan error, 1), make(chan error, 1)
		term.Propose([]byte("a"), func(_ uint64, _ any, err error) { flight <- err })
		synctest.Wait()
		term.Propose([]byte("b"), func(_ uint64, _ any, err error) { queued <- err })
		require.ErrorIs(t, <-r.ended, ErrDiskStalled)
		require.Equal(t, 10*time.Second, time.Since(began))
		require.ErrorIs(t, <-flight, ErrUnknown)
		require.ErrorIs(t, <-queued, ErrDeposed)
		<-term.Done()
		d.answers <- nil // lets go of the goroutine that was left behind
	})
}

func TestAFailedFsyncIsFatal(t *testing.T) {
	d := slowDisk{answers: make(chan error, 2)}
	s := Standalone().(*standalone)
	s.newStore = func() (standaloneStore, error) { return d, nil }
	d.answers <- nil
	r := start(t, s)
	term := <-r.Terms()
	broken := errors.New("input/output error")
	d.answers <- broken
	require.ErrorIs(t, propose(term, "a"), ErrUnknown)
	require.ErrorIs(t, <-r.ended, broken)
	require.Empty(t, r.state.text())
}

// crashingMaster prints each entry once it was confirmed, until it is killed.
func crashingMaster(dir string) {
	e := Standalone(InDir(dir), SnapshotEvery(16))
	go func() {
		_ = e.Run(context.Background(), Env{StateMachine: &ledger{}, Opening: func() []byte { return []byte(opening) }})
	}()
	term := <-e.Terms()
	for i := 0; ; i++ {
		entry := fmt.Sprintf("%d.%d", term.Reign(), i)
		if propose(term, entry) == nil {
			fmt.Println(entry)
		}
	}
}

// What was confirmed is there after kill -9, in order (L4).
func TestNothingConfirmedIsLostToSIGKILL(t *testing.T) {
	dir := t.TempDir()
	var confirmed []string
	for range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ELECTION_TEST_CRASH_DIR="+dir)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		for range 50 {
			var line string
			_, err := fmt.Fscanln(out, &line)
			require.NoError(t, err)
			confirmed = append(confirmed, line)
		}
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
	r := start(t, Standalone(InDir(dir)))
	term := <-r.Terms()
	require.EqualValues(t, 5, term.Reign())
	r.close(t)
	next := 0
	for _, e := range r.state.entries {
		if next < len(confirmed) && e == confirmed[next] {
			next++
		}
	}
	require.Equal(t, len(confirmed), next)
}
