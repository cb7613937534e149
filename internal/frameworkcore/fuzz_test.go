package frameworkcore

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// chaos drives a session with events from any source of small numbers, sensible and not.
type chaos struct {
	*world
	pick func(n int) int
	n    int
}

func (x *chaos) task() offer.TaskID { return offer.TaskID(fmt.Sprintf("t%d", x.pick(8))) }

func (x *chaos) offerID() offer.OfferID {
	return offer.OfferID(fmt.Sprintf("o%d", max(x.n-x.pick(10), 0)))
}

func (x *chaos) one() {
	if x.core == nil || x.core.Ended() {
		x.core = nil
		x.held = nil
		x.acked, x.told = map[offer.UUID]bool{}, map[offer.UUID]int{}
		x.begin()
	}
	x.n++
	switch x.pick(20) {
	case 0:
		x.conn++
		x.step(Connected{Conn: x.conn})
	case 1:
		x.step(Disconnected{Conn: x.conn})
	case 2, 3:
		if !x.core.Subscribed() {
			x.conn++
			x.step(Connected{Conn: x.conn})
		}
		x.master(&message.Subscribed{ID: "f-1"})
	case 4, 5:
		m := &message.Offers{}
		for range 1 + x.pick(3) {
			m.Offers = append(m.Offers, offer.Offer{ID: x.offerID(), SlaveID: offer.SlaveID(fmt.Sprintf("s%d", x.pick(2)))})
		}
		x.master(m)
	case 6:
		x.master(&message.Rescind{Offers: []offer.OfferID{x.offerID()}})
	case 7, 8, 9:
		x.master(x.update())
	case 10:
		x.master(&message.OperationUpdate{Status: offer.OperationStatus{ID: "o", UUID: offer.UUID{0xdd, byte(x.pick(4))}}})
	case 11, 12:
		tasks := []offer.Task{{ID: x.task()}, {ID: x.task()}}
		x.call(&message.Accept{Offers: []offer.OfferID{x.offerID(), x.offerID()}[:1+x.pick(2)], Operations: []offer.Operation{offer.Launch(tasks...)}})
	case 13:
		x.call(&message.Decline{Offers: []offer.OfferID{x.offerID()}})
	case 14:
		x.call(&message.KillTask{Task: x.task()})
	case 15:
		x.call(&message.Reconcile{Tasks: []message.TaskRef{{Task: x.task()}}[:x.pick(2)]})
	case 16:
		x.advance(time.Duration(x.pick(60)) * time.Second)
	case 17:
		x.handler = []string{"", "slow", "failing"}[x.pick(3)]
	case 18:
		for len(x.held) > 0 {
			seq := x.held[0]
			x.held = x.held[1:]
			x.step(Handled{Seq: seq, Ok: x.pick(3) > 0})
		}
	case 19:
		x.rare()
	}
}

func (x *chaos) update() *message.Update {
	st := offer.Status{TaskID: x.task(), State: offer.State(x.pick(14))}
	if x.pick(3) > 0 {
		st.UUID = offer.UUID{byte(x.pick(40)), 1}
	} else {
		st.Reason = offer.ReasonReconciliation
	}
	return &message.Update{Status: &st}
}

func (x *chaos) rare() {
	switch x.pick(12) {
	case 0:
		x.call(&message.Teardown{})
	case 1:
		x.reign += uint64(x.pick(2))
	case 2:
		x.master(&message.Error{Final: x.pick(3) == 0})
	case 3:
		x.master(&message.Leader{})
	case 4:
		x.call(&message.Suppress{Roles: []string{"ops"}})
	case 5:
		x.call(&message.Revive{})
	case 6:
		x.call(&message.UpdateFramework{})
	case 7:
		x.step(Handled{Seq: uint64(x.pick(100)), Ok: true})
	case 8:
		x.call(&message.ShutdownExecutor{Executor: "e"})
	default:
		x.master(&message.Heartbeat{})
	}
}

func live(t testing.TB, events int, pick func(n int) int) string {
	x := &chaos{world: newWorld(t), pick: pick}
	x.cfg.MaxOutstanding, x.cfg.MaxQueued, x.cfg.MaxCalls, x.cfg.Window = 3, 8, 4, 64
	for range events {
		x.one()
	}
	return x.out.String()
}

// TestAnyOrderOfEvents holds the invariants over random lives of a session, and twice the same.
func TestAnyOrderOfEvents(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		seed, n := rapid.Uint64().Draw(r, "seed"), rapid.IntRange(1, 500).Draw(r, "events")
		random := func() func(int) int { return rand.New(rand.NewPCG(seed, 1)).IntN }
		require.Equal(t, live(t, n, random()), live(t, n, random()), "two runs of the same events differ")
	})
}

// FuzzStep is TestAnyOrderOfEvents for the fuzzer.
func FuzzStep(f *testing.F) {
	f.Add([]byte("0,2,4,11,8,13,8,18,0,2,19,21,24"))
	f.Add([]byte{2, 4, 0, 11, 0, 0, 1, 7, 1, 1, 1, 18, 1, 2, 16, 50})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		live(t, len(b)/3, func(n int) int {
			if len(b) == 0 {
				return 0
			}
			v := int(b[0])
			b = b[1:]
			return v % n
		})
	})
}

// BenchmarkUpdate is what a session does for one status: deliver it, hear that it was taken over, acknowledge it.
func BenchmarkUpdate(b *testing.B) {
	w := newWorld(b)
	w.begin()
	c := w.core
	var out []Effect
	step := func(ev Event) { out = c.Step(w.now, ev, out[:0]) }
	master := func(m message.Message) {
		step(FromMaster{Conn: 1, Envelope: message.Envelope{Cluster: "k", Reign: 1, Message: m}})
	}
	step(Connected{Conn: 1})
	master(&message.Subscribed{ID: "f"})
	step(Handled{Seq: 1, Ok: true})
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		u := offer.UUID{1, byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
		master(&message.Update{Status: &offer.Status{TaskID: "t", State: offer.Running, UUID: u}})
		step(Handled{Seq: out[0].(Deliver).Seq, Ok: true})
		if len(out) != 1 {
			b.Fatal("not acknowledged")
		}
	}
}
