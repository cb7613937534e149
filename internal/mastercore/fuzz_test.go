package mastercore

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// script turns bytes into lines for a world: few names, so that they meet.
type script struct{ data []byte }

func (s *script) next(n int) int {
	if len(s.data) == 0 {
		return 0
	}
	b := s.data[0]
	s.data = s.data[1:]
	return int(b) % n
}

func pick(s *script, list ...string) string { return list[s.next(len(list))] }

func (s *script) line() string {
	slaveConn := fmt.Sprintf("c%d", 1+s.next(4))
	conn := fmt.Sprintf("c%d", 11+s.next(4))
	slave := fmt.Sprintf("s-%d", 1+s.next(4))
	framework := fmt.Sprintf("f-%d", 1+s.next(4))
	task := fmt.Sprintf("t%d", s.next(6))
	offerID := fmt.Sprintf("o-1-%d", 1+s.next(30))
	host := pick(s, "a", "b")
	state := pick(s, "staging", "starting", "running", "killing", "finished", "failed", "lost", "unreachable", "dropped", "gone")
	uuid := pick(s, "u1", "u2", "u3", "-")
	size := pick(s, "", "~cpus:1", "~cpus:4", "~cpus:0.1~exec/x/cpus:0.1", "~nothing", "~cpus:1~fn", "~cpus:1~lease/20s", "~cpus:1~exec/x/cpus:0.2")
	switch s.next(32) {
	case 0:
		return slaveConn + " register " + host + " cpus:4;mem:1024;disk:100"
	case 1, 2:
		return fmt.Sprintf("%s reregister %s %s cpus:4;mem:1024;disk:100 task=%s/%s/%s", slaveConn, slave, host, framework, task,
			pick(s, "staging", "running", "finished", "killing", "running///10s"))
	case 3:
		return fmt.Sprintf("%s reregister %s %s %s exec=%s/x/cpus:0.1", slaveConn, slave, host, pick(s, "cpus:4;mem:1024;disk:100", "cpus:2"), framework)
	case 4:
		return fmt.Sprintf("%s reregister %s %s cpus:4 part=%d task=%s/%s/running", slaveConn, slave, host, s.next(2), framework, task)
	case 5:
		return slaveConn + " pong"
	case 6:
		return slaveConn + " unregister"
	case 7, 8, 9:
		return fmt.Sprintf("%s status %s %s %s %s", slaveConn, framework, task, state, uuid)
	case 10:
		return fmt.Sprintf("%s status %s %s %s %s latest=%s", slaveConn, framework, task, state, uuid, pick(s, "running", "finished"))
	case 11:
		return slaveConn + " closes"
	case 12:
		return conn + " closes"
	case 13:
		return conn + " subscribe " + pick(s, "x", "y") + pick(s, " timeout=30s", " can=partitions", " roles=r", " roles=r/s,q timeout=1m")
	case 14:
		return conn + " subscribe x timeout=30s id=" + framework + pick(s, "", " roles=r")
	case 15, 16, 17:
		return fmt.Sprintf("%s accept %s launch=%s%s,%s%s refuse=%s", conn, offerID, task, size, pick(s, "t1", "t7"), size, pick(s, "0", "5s"))
	case 18:
		return fmt.Sprintf("%s accept %s group=%s%s,t8 part=%d", conn, offerID, task, size, s.next(2)) + pick(s, "", " last=yes")
	case 19:
		return fmt.Sprintf("%s accept %s op=p reserve=cpus:1(%s) op=q create=disk:10(r,v) unreserve=cpus:1(r) launch=%s", conn, offerID,
			pick(s, "r", "q"), task)
	case 20:
		return conn + " decline " + offerID + pick(s, "", " refuse=0")
	case 21:
		return conn + " kill " + task + pick(s, "", " slave="+slave)
	case 22:
		return fmt.Sprintf("%s ack %s %s %s", conn, slave, task, pick(s, "u1", "u2", "u3"))
	case 23:
		return conn + " reconcile" + pick(s, "", " "+task, " "+task+"@"+slave)
	case 24:
		return conn + " " + pick(s, "teardown", "revive", "suppress", "revive r", "update x roles=r", "update x roles=q timeout=5s")
	case 25:
		return "operate " + pick(s, "drain grace=1s slave=", "drain then=gone slave=", "gone slave=", "deactivate slave=", "reactivate slave=",
			"reserve resources=cpus:1(r) slave=", "unreserve resources=cpus:1(r) slave=") + slave
	case 26:
		return "operate " + pick(s, "quota role=r limit=cpus:2", "quota role=r", "weight role=q weight=3", "teardown framework="+framework)
	case 27:
		return slaveConn + " exited " + framework + " x"
	case 28:
		return pick(s, "wait 1s", "wait 20s", "wait 3m", "idle 11m", "manual", "automatic", "commit")
	case 29:
		return fmt.Sprintf("%s renew %d", slaveConn, 1+s.next(9))
	case 30:
		return fmt.Sprintf("%s %s", conn, pick(s, "reconcile "+task+"@"+slave+"@5s", "reconcile "+task+"@"+slave+"@2m"))
	default:
		return pick(s, "manual", "commit", "fail", "lose", "leader", "automatic", "describe", "tasks")
	}
}

// play runs a script in two worlds. Check holds after every Step (world.step), and both do the same.
func play(t *testing.T, data []byte) {
	first, second := newWorld(t, Config{OfferTimeout: -1}), newWorld(t, Config{OfferTimeout: -1})
	s := script{data}
	var lines []string
	defer func() {
		if t.Failed() {
			t.Logf("lines:\n%s", strings.Join(lines, "\n"))
		}
	}()
	for len(s.data) > 0 && len(lines) < 400 {
		line := s.line()
		lines = append(lines, line)
		did := first.line(line)
		require.Equal(t, did, second.line(line))
	}
	require.Equal(t, first.core.Describe(), second.core.Describe())
}

// FuzzStep drives a core with random events: no panic, every invariant after every Step, twice the same.
func FuzzStep(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(randomScript(seed, 600))
	}
	f.Fuzz(play)
}

func randomScript(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestRandomEventsKeepTheInvariants(t *testing.T) {
	for seed := range uint64(40) {
		play(t, randomScript(seed+100, 6000))
	}
}
