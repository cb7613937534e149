package slave

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

func someRecords(n int) []slavecore.Record {
	var out []slavecore.Record
	for i := range n {
		out = append(out, &slavecore.Launched{Framework: &offer.Framework{ID: "f-1"}, Role: "*", Container: fmt.Sprint("c-", i),
			Task: &offer.Task{ID: offer.TaskID(fmt.Sprint("t-", i)), Command: &offer.Command{Shell: true, Value: "true"}}})
	}
	return out
}

// testJournal is a journal that runs, with the answers to its checkpoints.
type testJournal struct {
	*journal
	answers chan verdict
}

type verdict struct {
	token uint64
	err   error
}

// answered waits until the checkpoint is answered.
func (j testJournal) answered(t *testing.T, token uint64) error {
	for {
		if a := take(t, "an answer", j.answers); a.token >= token {
			return a.err
		}
	}
}

func runJournal(t *testing.T, path string) (testJournal, []slavecore.Record) {
	j, records, err := openJournal(path)
	require.NoError(t, err)
	tj := testJournal{j, make(chan verdict, 1000)}
	j.answer = func(token uint64, err error) { tj.answers <- verdict{token, err} }
	go j.run()
	return tj, records
}

func containersOf(t *testing.T, records []slavecore.Record) []string {
	var out []string
	for _, r := range records {
		require.IsType(t, &slavecore.Launched{}, r)
		out = append(out, r.(*slavecore.Launched).Container)
	}
	return out
}

func TestTheJournalRemembersEveryCheckpointInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, records := runJournal(t, path)
	require.Empty(t, records)
	for i, r := range someRecords(100) {
		j.enqueue(journalItem{token: uint64(i), records: []slavecore.Record{r}})
	}
	require.NoError(t, j.answered(t, 99))
	require.Less(t, j.flushes, uint64(100), "checkpoints that wait share a flush")
	require.NoError(t, j.close(true))

	j, records = runJournal(t, path)
	require.Equal(t, containersOf(t, someRecords(100)), containersOf(t, records))
	j.replace(someRecords(3))
	j.enqueue(journalItem{token: 1, records: someRecords(5)[3:]})
	require.NoError(t, j.answered(t, 1))
	require.NoError(t, j.close(true))

	j, records = runJournal(t, path)
	require.Equal(t, containersOf(t, someRecords(5)), containersOf(t, records), "the replacement, and what came after it")
	require.NoError(t, j.close(true))
}

// blocks makes a journal of n blocks with a record each, and returns where each block ends.
func blocks(t *testing.T, n int) (file []byte, ends []int) {
	file = []byte(journalMagic)
	for _, r := range someRecords(n) {
		var err error
		file, _, err = appendBlock(file, int64(len(file)), []slavecore.Record{r})
		require.NoError(t, err)
		ends = append(ends, len(file))
	}
	return file, ends
}

// S7: whatever part of the last write reached the disk, what was flushed before it is there, and nothing that was not written is.
func TestAJournalCutAnywhereKeepsWhatWasFlushed(t *testing.T) {
	file, ends := blocks(t, 4)
	path := filepath.Join(t.TempDir(), "journal")
	for cut := len(journalMagic); cut <= len(file); cut++ {
		whole := 0
		for _, e := range ends {
			if e <= cut {
				whole++
			}
		}
		require.NoError(t, os.WriteFile(path, file[:cut], 0o600))
		j, records, err := openJournal(path)
		require.NoError(t, err, "cut at %d", cut)
		require.Equal(t, containersOf(t, someRecords(whole)), containersOf(t, records), "cut at %d", cut)
		require.NoError(t, j.write(someRecords(5)[4:]))
		require.NoError(t, j.close(false))
		_, records, err = openJournal(path)
		require.NoError(t, err)
		require.Len(t, records, whole+1, "it goes on behind the cut")
	}
	for cut := range len(journalMagic) {
		require.NoError(t, os.WriteFile(path, file[:cut], 0o600))
		_, _, err := openJournal(path)
		require.ErrorContains(t, err, "is not a journal", "a file that was put in place by a rename cannot be so short")
	}
}

func TestATornLastBlockIsCutWhateverIsInIt(t *testing.T) {
	file, ends := blocks(t, 4)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		torn := append([]byte(nil), file...)
		for i := ends[2] + rng.IntN(len(file)-ends[2]); i < len(torn); i++ {
			torn[i] = byte(rng.Uint32()) * byte(rng.IntN(2)) // zeros and rubbish, as sectors that were never written
		}
		records, length, err := readJournal(torn)
		require.NoError(t, err)
		if length < len(file) {
			require.Equal(t, ends[2], length)
			require.Len(t, records, 3)
		}
	}
}

func TestADamagedMiddleIsRefusedWithFileAndOffset(t *testing.T) {
	file, ends := blocks(t, 4)
	path := filepath.Join(t.TempDir(), "journal")
	for at := ends[0]; at < ends[1]; at++ {
		bad := append([]byte(nil), file...)
		bad[at] ^= 0x40
		require.NoError(t, os.WriteFile(path, bad, 0o600))
		_, _, err := openJournal(path)
		require.ErrorContains(t, err, path)
		require.ErrorContains(t, err, fmt.Sprintf("offset %d: the block is damaged", ends[0]))
		require.ErrorContains(t, err, fmt.Sprintf("a whole one at offset %d", ends[2-1]))
	}
}

func TestAFailedFlushIsFinal(t *testing.T) {
	j, _ := runJournal(t, filepath.Join(t.TempDir(), "journal"))
	broken := errors.New("broken")
	j.file = brokenFile{j.file, broken}
	for range 3 {
		j.enqueue(journalItem{token: 1, records: someRecords(1)})
		require.ErrorIs(t, j.answered(t, 1), broken)
	}
	j.replace(nil)
	j.enqueue(journalItem{token: 1, records: someRecords(1)})
	require.ErrorIs(t, j.answered(t, 1), broken, "not even a new file makes it good")
	require.NoError(t, j.close(true))
}

func FuzzJournal(f *testing.F) {
	file := []byte(journalMagic)
	for _, r := range someRecords(3) {
		file, _, _ = appendBlock(file, int64(len(file)), []slavecore.Record{r})
	}
	f.Add(file)
	f.Add(file[:len(file)-3])
	f.Add([]byte(journalMagic))
	big := append([]byte(nil), file...)
	binary.BigEndian.PutUint32(big[len(journalMagic)+4:], 1<<31)
	f.Add(big)
	f.Fuzz(func(t *testing.T, b []byte) {
		records, length, err := readJournal(b)
		if err != nil {
			return
		}
		require.LessOrEqual(t, length, len(b))
		again, same, err := readJournal(b[:length])
		require.NoError(t, err)
		require.Equal(t, length, same)
		require.Len(t, again, len(records))
	})
}
