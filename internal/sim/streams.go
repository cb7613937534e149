package sim

import (
	"hash/fnv"
	"math/bits"
	"math/rand/v2"
	"time"
)

// founders is how many of the classes draw from the world's one stream, as the seeds that are stored need. Each later class has a stream of
// its own, made of the seed and its name, and a schedule of its own: while it is off the world is the same as if there were no such class.
const founders = 31

// dice draws from one stream.
type dice struct{ *rand.Rand }

// dice are those of a class.
func (w *World) dice(f Fault) *dice {
	i := bits.TrailingZeros64(uint64(f))
	if w.own[i] == nil {
		h := fnv.New64a()
		_, _ = h.Write([]byte(faultNames[i]))
		w.own[i] = &dice{rand.New(rand.NewPCG(w.cfg.Seed, h.Sum64()))}
	}
	return w.own[i]
}

func (d *dice) chance(p float64) bool { return d.Float64() < p }

// between draws a duration in [lo, hi).
func (d *dice) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(d.Int64N(int64(hi-lo)))
}

// mostly draws a duration that is seldom near hi.
func (d *dice) mostly(lo, hi time.Duration) time.Duration {
	for range 3 {
		if mid := hi / 4; mid > lo && d.chance(0.6) {
			hi = mid
		}
	}
	return d.between(lo, hi)
}

// strikers are what the classes with streams of their own do now and then. Those without one bite where they are asked for.
var strikers = map[Fault]func(*World, *dice){ // looked up
	FaultNarrow:      (*World).narrow,
	FaultAddress:     (*World).readdress,
	FaultDescriptors: (*World).noFiles,
	FaultStarve:      (*World).starve,
	FaultFork:        (*World).noForks,
	FaultSuspend:     (*World).suspend,
	FaultSpin:        (*World).spin,
	FaultStop:        (*World).stopSlave,
	FaultSupervisor:  (*World).killSupervisor,
	FaultBlunder:     (*World).blunder,
	FaultTransfer:    (*World).hand,
	FaultMembers:     (*World).changeMembers,
	FaultInstall:     (*World).install,
	FaultRestore:     (*World).restore,
	FaultMasterDisk:  (*World).masterDisk,
	FaultPoison:      (*World).poison,
	FaultRot:         (*World).rot,
	FaultResize:      (*World).resize,
	FaultForge:       (*World).forge,
	FaultTwin:        (*World).doubleUp,
	FaultManners:     (*World).misbehave,
	FaultForeign:     (*World).introduce,
}

// costly are those after each of which everybody registers again.
const costly = FaultSpin | FaultBlunder | FaultTransfer | FaultMembers | FaultInstall | FaultMasterDisk | FaultPoison

// drawOwn draws which of the later classes are on, and how strong they are.
func (w *World) drawOwn(s *swarm) {
	for i := founders; i < len(faultNames); i++ {
		f := Fault(1) << i
		if f&w.cfg.Faults == 0 {
			continue
		}
		d := w.dice(f)
		on, strength := d.chance(0.5), 0.1+float64(0.9*d.Float64()) // rounded in between, on every machine
		if on || !w.cfg.Swarm {
			s.on |= f
			s.own[i] = strength
		}
	}
}

// strength is that of a class with a stream of its own; zero while it is off.
func (w *World) strength(f Fault) float64 {
	if w.calm || w.swarm.on&f == 0 {
		return 0
	}
	return w.swarm.own[bits.TrailingZeros64(uint64(f))]
}

// bites draws whether a class strikes here, where it does with a chance of p at its greatest strength.
func (w *World) bites(f Fault, p float64) bool {
	if w.swarm.on&f == 0 || w.calm || !w.dice(f).chance(p*w.strength(f)) {
		return false
	}
	w.Faults++
	return true
}

// ownFaults schedules the strikes of a round's later classes: each comes a few times, the stronger the more often.
func (w *World) ownFaults() {
	for i := founders; i < len(faultNames); i++ {
		f := Fault(1) << i
		strike := strikers[f]
		if strike == nil || w.swarm.on&f == 0 {
			continue
		}
		d, round := w.dice(f), w.round
		mean := time.Duration(float64(w.swarm.every) * 12 / w.swarm.own[i])
		if f&costly != 0 {
			mean *= 2
		}
		var next func()
		next = func() {
			if w.calm || w.round != round {
				return
			}
			w.Faults++
			strike(w, d)
			w.after(d.between(mean/20, 2*mean), next)
		}
		w.after(d.between(mean/20, 2*mean), next)
	}
}

// whom draws a node; the leader's more often than its share.
func (w *World) whom(d *dice) *node {
	if w.log.leader != nil && d.chance(0.2) {
		return &w.log.leader.m.node
	}
	nodes := w.nodes()
	return nodes[d.IntN(len(nodes))]
}

func (w *World) someSlave(d *dice) *slave { return w.slaves[d.IntN(len(w.slaves))] }
