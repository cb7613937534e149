package slave

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Whatever one bit of the journal says instead of the truth, the slave refuses the file by its name, or has what was written before the damage and
// says that it has left something out. It never has anything else.
func TestAJournalWithAnyBitFlippedIsRefusedOrCutAndSaidSo(t *testing.T) {
	file, ends := blocks(t, 4)
	whole := containersOf(t, someRecords(4))
	path := filepath.Join(t.TempDir(), "journal")
	rng := rand.New(rand.NewPCG(3, 4))
	for at := range file {
		damaged := bytes.Clone(file)
		damaged[at] ^= 1 << rng.IntN(8)
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		j, records, err := openJournal(path)
		if err != nil {
			require.ErrorContains(t, err, path, "byte %d", at)
			require.Less(t, at, ends[2], "byte %d", at)
			continue
		}
		require.GreaterOrEqual(t, at, ends[2], "byte %d: what comes before the last block is never left out", at)
		require.Equal(t, whole[:3], containersOf(t, records), "byte %d", at)
		require.Equal(t, len(file)-ends[2], j.cut, "byte %d", at)
		require.NoError(t, j.close(false))
	}
}

// keepRunning runs a slave until a task of it runs, and stops it.
func keepRunning(t *testing.T, m *scriptedMaster, cfg Config) process.ID {
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	m.send(launch(command("t-1", "exec sleep 1000")))
	first, err := process.Identify(m.state("t-1", offer.Running).Container.PID)
	require.NoError(t, err)
	s.stop()
	return first
}

func TestADamagedJournalKeepsTheSlaveFromRunningAndItsTasksFromEnding(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process"}}
	first := keepRunning(t, m, cfg)
	path := filepath.Join(cfg.WorkDir, "meta", "journal")
	right, err := os.ReadFile(path)
	require.NoError(t, err)
	wrong := bytes.Clone(right)
	wrong[len(journalMagic)+blockHead+5] ^= 1
	require.NoError(t, os.WriteFile(path, wrong, 0o600))
	s := startSlave(t, cfg)
	err = take(t, "the end of Run", s.done)
	require.ErrorContains(t, err, path)
	require.True(t, first.Alive(), "an operator may still repair it")

	// An end that is damaged is one that was never written: it is left out, and that is said.
	log := &lines{}
	require.NoError(t, os.WriteFile(path, append(bytes.Clone(right), right[len(journalMagic):len(journalMagic)+blockHead]...), 0o600))
	cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	s = startSlave(t, cfg)
	require.Len(t, take(t, "a re-registration", m.register).(*message.SlaveReregister).Tasks, 1)
	require.Len(t, log.with("the journal's end was not written to its end"), 1)
	require.Len(t, log.with(path), 1)
	m.send(&message.Kill{Framework: "f-1", Task: "t-1"})
	m.state("t-1", offer.Killing)
	m.state("t-1", offer.Killed)
	s.stop()
}

func TestAfterAnotherBootOfTheMachineTasksAreSaidToBeGone(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process"}}
	first := keepRunning(t, m, cfg)
	// The journal is as it would be if it had been written during an earlier boot.
	j, records, err := openJournal(filepath.Join(cfg.WorkDir, "meta", "journal"))
	require.NoError(t, err)
	boots := 0
	for i, r := range records {
		if _, is := r.(*slavecore.Boot); is {
			records[i] = &slavecore.Boot{ID: "another boot"}
			boots++
		}
	}
	require.Positive(t, boots)
	require.NoError(t, j.rewrite(records))
	require.NoError(t, j.close(false))
	s := startSlave(t, cfg)
	take(t, "a re-registration", m.register)
	for {
		st := take(t, "the end of t-1", m.updates).Status
		if st.State.Terminal() {
			require.Nil(t, st.Exit, "no exit status is invented: %+v", st)
			require.NotEqual(t, offer.Finished, st.State)
			break
		}
	}
	eventually(t, "its files are gone", func() bool { return len(runFiles(cfg.WorkDir)) == 0 })
	s.stop()
	require.NoError(t, first.Signal(syscall.SIGKILL)) // which did not survive the boot
}

// A slave may have more or less to offer and other attributes than before: it stays the slave that it was, with its tasks, as long as they fit.
func TestASlaveWithOtherResourcesAndAttributesIsTheSameSlave(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process"},
		Resources: resource.Must("cpus:4;mem:1024")}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	m.send(launch(sized(command("t-1", "exec sleep 1000"), "cpus:1;mem:256")))
	first, err := process.Identify(m.state("t-1", offer.Running).Container.PID)
	require.NoError(t, err)
	s.stop()
	for _, text := range []string{"cpus:8;mem:2048;disk:100", "cpus:2;mem:512", "cpus:1;mem:256"} {
		cfg.Resources = resource.Must(text)
		cfg.Attributes = []offer.Attribute{{Name: "round", Text: text}}
		s = startSlave(t, cfg)
		re := take(t, "a re-registration", m.register).(*message.SlaveReregister)
		require.Equal(t, offer.SlaveID("s-1"), re.Slave.ID)
		require.Equal(t, cfg.Resources.String(), re.Slave.Resources.String())
		require.Equal(t, cfg.Attributes, re.Slave.Attributes)
		require.Len(t, re.Tasks, 1)
		require.True(t, first.Alive())
		s.stop()
	}
	less := cfg
	less.Resources = resource.Must("cpus:1;mem:255")
	s = startSlave(t, less)
	require.ErrorContains(t, take(t, "the end of Run", s.done), "cpus:1;mem:256 in use (allowed: at least those")
	require.True(t, first.Alive())
	s = startSlave(t, cfg)
	take(t, "a re-registration", m.register)
	m.send(&message.Kill{Framework: "f-1", Task: "t-1"})
	m.state("t-1", offer.Killing)
	m.state("t-1", offer.Killed)
	s.stop()
}
