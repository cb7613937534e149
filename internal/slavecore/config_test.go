package slavecore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

func TestAConfigurationErrorNamesTheFieldAndWhatIsAllowed(t *testing.T) {
	for want, cfg := range map[string]Config{
		"slave: config: RetryMin is -1s (allowed: more than zero)":               {RetryMin: -time.Second},
		"slave: config: MaxTasks is -1 (allowed: more than zero)":                {MaxTasks: -1},
		"slave: config: RetryMax is 1s (allowed: at least RetryMin, 10s)":        {RetryMax: time.Second},
		"slave: config: ExecutorShutdownGrace is -1ns (allowed: more than zero)": {ExecutorShutdownGrace: -1},
	} {
		_, err := New(epoch, cfg, nil)
		require.EqualError(t, err, want)
	}
}

type strangeRecord struct{}

func (strangeRecord) RecordKind() RecordKind { return 200 }

func TestAJournalWithAnUnknownRecordIsRefused(t *testing.T) {
	_, err := New(epoch, Config{}, []Record{&Boot{ID: "b"}, strangeRecord{}})
	require.EqualError(t, err, "slave: journal: record 1: slavecore.strangeRecord is of an unknown kind")
}

// A journal that is torn at any record replays, and its slave names no task that it was not told of.
func TestEveryPrefixOfAJournalReplays(t *testing.T) {
	w := newWorld(t)
	w.boot()
	w.conn = 1
	w.step(Connected{Conn: 1})
	w.master(&message.SlaveRegistered{ID: "s-1"})
	tasks := []offer.Task{{ID: "a", Function: "x"}, {ID: "b", Function: "x"}}
	w.master(&message.Launch{Framework: offer.Framework{ID: "f1"}, Role: "*", Tasks: tasks, Group: true})
	w.master(&message.Launch{Framework: offer.Framework{ID: "f1"}, Role: "*", Tasks: []offer.Task{{ID: "c", Executor: &offer.Executor{ID: "e"}}}})
	w.name('c', "")
	w.step(Started{Container: w.conts["c1"]})
	w.master(&message.StatusAck{Framework: "f1", Task: "a", UUID: w.heads["f1/a"]})
	w.step(Exited{Container: w.conts["c1"], Known: true, Exit: offer.Exit{Code: 1}})
	w.master(&message.Kill{Framework: "f1", Task: "b"})
	w.master(&message.StatusAck{Framework: "f1", Task: "a", UUID: w.heads["f1/a"]})
	require.Greater(t, len(w.disk), 10)
	for n := range len(w.disk) + 1 {
		for _, boot := range []string{"b1", "b2"} {
			cfg := w.cfg
			cfg.BootID = boot
			c, err := New(w.now, cfg, w.disk[:n])
			require.NoError(t, err)
			require.NotZero(t, c.Deadline(), "a fresh core wants to recover at once")
			c.Step(w.now, Tick{}, nil)
			require.NoError(t, c.Check(), "after %d records, boot %s", n, boot)
		}
	}
}

func TestTheRegistrationIsReadable(t *testing.T) {
	w := newWorld(t)
	w.boot()
	w.conn = 1
	w.step(Connected{Conn: 1})
	require.Empty(t, w.core.SlaveID())
	w.reign = 7
	w.master(&message.SlaveRegistered{ID: "s-1"})
	require.Equal(t, offer.SlaveID("s-1"), w.core.SlaveID())
	require.Equal(t, offer.ClusterID("k1"), w.core.Cluster())
	require.Equal(t, uint64(7), w.core.Reign())
}
