package zookeeper

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
)

// A stubborn state machine knows no kind of entry.
type stubborn struct{}

func (*stubborn) Apply(uint64, []byte) (any, error)    { return nil, errors.New("unknown kind") }
func (*stubborn) Snapshot() (election.Snapshot, error) { return nil, errors.New("none") }
func (*stubborn) Restore(io.Reader) error              { return errors.New("none") }

// Slaves and frameworks follow the leader, and those who look for a Mesos master find the same one.
func TestTheLeaderIsFoundByItsRecord(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	d, err := NewDetector(DetectorConfig{Address: url(servers, "/found"), SessionTimeout: 10 * time.Second})
	require.NoError(t, err)
	defer d.Close()
	found := make(chan election.Peer, 1)
	go func() { // nobody leads yet, and there is no such path
		p, err := d.Detect(t.Context(), election.Peer{})
		if err == nil {
			found <- p
		}
	}()
	cfg := Config{Address: "zk://meros:secret@" + servers[0].address + "/found", SessionTimeout: 10 * time.Second}
	first := startMember(t, 0, cfg)
	term := first.next()
	var leader election.Peer
	select {
	case leader = <-found:
	case <-time.After(patience):
		t.Fatal("the leader is not found")
	}
	require.Equal(t, election.Peer{ID: first.elector.cfg.NodeID, Address: "127.0.0.1:5050"}, leader)

	c := client(t, servers[0], "")
	names, _, err := c.Children("/found")
	require.NoError(t, err)
	records := numbered(names, infoLabel)
	require.Len(t, records, 1)
	data, stat, err := c.Get("/found/" + records[0])
	require.NoError(t, err)
	require.NotZero(t, stat.EphemeralOwner)
	var info map[string]any
	require.NoError(t, json.Unmarshal(data, &info))
	require.Equal(t, map[string]any{"id": leader.ID, "ip": float64(0x0100007f), "port": float64(5050), "pid": "master@127.0.0.1:5050",
		"hostname": "127.0.0.1", "version": "1.11.0", "address": map[string]any{"hostname": "127.0.0.1", "ip": "127.0.0.1", "port": float64(5050)}}, info)
	_, _, err = c.Get("/found/meros/term") // what is decided is for those with credentials
	require.Error(t, err)

	second := startMember(t, 1, cfg)
	require.NoError(t, propose(t, term, "a"))
	agree(t, "a", first, second)
	want := []election.Member{{Peer: leader, Voter: true, Leader: true}, {Peer: election.Peer{ID: second.elector.cfg.NodeID, Address: "127.0.0.1:5051"}, Voter: true}}
	for _, m := range []*member{first, second} {
		eventually(t, "both masters are listed", func() bool {
			list, err := m.elector.Members(t.Context())
			return err == nil && slices.Equal(list, want)
		})
		require.ErrorIs(t, m.elector.Add(t.Context(), leader), ErrByThemselves)
		require.ErrorIs(t, m.elector.Remove(t.Context(), leader.ID), ErrByThemselves)
	}
	require.NoError(t, term.Resign(t.Context()))
	second.next()
	other, err := d.Detect(t.Context(), leader)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:5051", other.Address)
	require.NoError(t, first.stop())
	require.NoError(t, second.stop())
	names, _, err = c.Children("/found")
	require.NoError(t, err)
	require.Equal(t, []string{"meros"}, names) // a master that ends in order leaves no record
}

func TestRecordsThatMesosWrites(t *testing.T) {
	for data, want := range map[string]string{
		`{"address":{"hostname":"m1.example","ip":"10.0.0.1","port":5050},"hostname":"m1.example","id":"u","ip":16777226,"pid":"master@10.0.0.1:5050","port":5050,"version":"1.11.0"}`: "m1.example:5050",
		`{"hostname":"m1","id":"u","ip":16777226,"port":5051}`: "m1:5051",
		`{"id":"u","ip":16777226,"port":5051}`:                 "10.0.0.1:5051",
		`{"id":"u","address":{"ip":"::1","port":5050}}`:        "[::1]:5050",
	} {
		p, err := unpackInfo([]byte(data))
		require.NoError(t, err)
		require.Equal(t, election.Peer{ID: "u", Address: want}, p)
	}
	for _, data := range []string{"", "{}", "null", `{"id":"u","hostname":"h"}`, `{"hostname":"h","port":70000}`, `{"port":"x"}`} {
		_, err := unpackInfo([]byte(data))
		require.Error(t, err, data)
	}
}
