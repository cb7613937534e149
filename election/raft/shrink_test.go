package raft

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

// A tally is a state machine of a fixed size.
type tally struct {
	mu           sync.Mutex
	reign, count uint64
}

func (s *tally) Apply(_ uint64, entry []byte) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(entry) == openingEntry {
		s.reign++
		return s.reign, nil
	}
	s.count++
	return s.count, nil
}

func (s *tally) Snapshot() (election.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ledgerSnapshot{reign: s.reign, text: string(binary.BigEndian.AppendUint64(nil, s.count))}, nil
}

func (s *tally) Restore(r io.Reader) error {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reign, s.count = binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])
	return nil
}

// size is what a folder takes on the disk, in bytes.
func size(t *testing.T, dir string) (n int64) {
	require.NoError(t, filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return err
	}))
	return n
}

// After ten times as many entries as are usual between two snapshots the folder is soon no larger than three times what is usual.
func TestTheFolderShrinksAfterABurst(t *testing.T) {
	const usual, burst = 500, 5000
	dir := t.TempDir()
	state := &tally{}
	run := func(do func(e *Elector, propose func(n int))) {
		e, err := New(Config{Dir: dir, TrailingLogs: usual, SnapshotInterval: 3600e9})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- e.Run(ctx, election.Env{StateMachine: state, Opening: func() []byte { return []byte(openingEntry) }, Advertise: "m0:1"})
		}()
		term := <-e.Terms()
		do(e, func(n int) {
			var left sync.WaitGroup
			for i := range n {
				left.Add(1)
				term.Propose(bytes.Repeat([]byte{byte(i)}, 4096), func(_ uint64, _ any, err error) {
					if err != nil {
						t.Error(err)
					}
					left.Done()
				})
			}
			left.Wait()
		})
		cancel()
		require.NoError(t, <-ended)
	}
	var steady, peak, after int64
	run(func(e *Elector, propose func(int)) {
		for range 6 {
			propose(usual)
			steady = max(steady, size(t, dir))
			require.NoError(t, e.TakeSnapshot(context.Background()))
			steady = max(steady, size(t, dir))
		}
		propose(burst)
		peak = size(t, dir)
		require.NoError(t, e.TakeSnapshot(context.Background()))
		after = size(t, dir)
		propose(10) // it goes on
	})
	t.Logf("steady %d, at the peak %d, after it %d bytes", steady, peak, after)
	require.Greater(t, peak, 3*steady, "or there was no burst")
	require.LessOrEqual(t, after, 3*steady)
	require.Equal(t, uint64(6*usual+burst+10), state.count)
	state = &tally{}
	run(func(_ *Elector, propose func(int)) { propose(1) })
	require.Equal(t, uint64(6*usual+burst+11), state.count, "nothing was lost")
}

// A file that is mostly empty shrinks when it is opened, too, and what a crash has left of an earlier try is in nobody's way.
func TestALogIsTheSameAfterItHasShrunk(t *testing.T) {
	path := filepath.Join(t.TempDir(), logFile)
	store, err := openBolt(path)
	require.NoError(t, err)
	var logs []*hraft.Log
	for i := range uint64(2000) {
		logs = append(logs, &hraft.Log{Index: i + 1, Term: 3, Data: bytes.Repeat([]byte{byte(i)}, 2048)})
	}
	require.NoError(t, store.StoreLogs(logs))
	require.NoError(t, store.SetUint64([]byte(keyTerm), 3))
	require.NoError(t, store.Set([]byte("LastVoteCand"), []byte("m-1")))
	large := size(t, filepath.Dir(path))
	bolt := store.(*shrinkingStore).bolt // past the store, which would shrink
	require.NoError(t, bolt.DeleteRange(1, 1990))
	require.Equal(t, large, size(t, filepath.Dir(path)))
	require.NoError(t, store.Close())
	require.NoError(t, os.WriteFile(path+".new", []byte("half a file"), 0o600))

	store, err = openBolt(path)
	require.NoError(t, err)
	require.Less(t, size(t, filepath.Dir(path))*10, large)
	first, err := store.FirstIndex()
	require.NoError(t, err)
	last, err := store.LastIndex()
	require.NoError(t, err)
	require.Equal(t, "1991 2000", fmt.Sprint(first, last))
	for i := first; i <= last; i++ {
		var l hraft.Log
		require.NoError(t, store.GetLog(i, &l))
		require.Equal(t, logs[i-1].Data, l.Data)
		require.Equal(t, uint64(3), l.Term)
	}
	term, err := store.GetUint64([]byte(keyTerm))
	require.NoError(t, err)
	require.Equal(t, uint64(3), term)
	voted, err := store.Get([]byte("LastVoteCand"))
	require.NoError(t, err)
	require.Equal(t, "m-1", string(voted))
	require.NoError(t, store.Close())
}

// A copy that cannot be made leaves the file as it is, and usable.
func TestALogThatCannotBeCopiedIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), logFile)
	store, err := openBolt(path)
	require.NoError(t, err)
	var logs []*hraft.Log
	for i := range uint64(1000) {
		logs = append(logs, &hraft.Log{Index: i + 1, Term: 1, Data: bytes.Repeat([]byte{1}, 4096)})
	}
	require.NoError(t, store.StoreLogs(logs))
	require.NoError(t, os.Mkdir(path+".new", 0o700)) // where the copy would be
	large := size(t, filepath.Dir(path))
	require.NoError(t, store.DeleteRange(1, 990))
	require.Equal(t, large, size(t, filepath.Dir(path)))
	require.NoError(t, store.StoreLog(&hraft.Log{Index: 1001, Term: 1, Data: []byte("more")}))
	last, err := store.LastIndex()
	require.NoError(t, err)
	require.Equal(t, uint64(1001), last)
	require.NoError(t, store.Close())
}
