package sim

import (
	"fmt"
	"strings"
	"time"
)

// A Fault is one class of trouble. Each round draws which classes are on, and how strong they are.
type Fault uint64

// The classes. Numbers in comments are those of the fault catalogue.
const (
	FaultDelay     Fault = 1 << iota // messages are slow, some for long (N2)
	FaultDuplicate                   // whole requests come twice (N3)
	FaultReorder                     // what an old connection carried arrives after the new one is up (N4)
	FaultCut                         // connections break (N9)
	FaultPartition                   // one node, halves, ring, bridge (N5)
	FaultOneWay                      // one direction only (N6)
	FaultFlap                        // a node's links go on and off (N7)
	FaultClog                        // nodes are clogged one by one and unclogged in another order (N8)
	FaultLeader                      // the leader is killed (P1)
	FaultMaster                      // any master, or all of them (P1)
	FaultDepose                      // the leader is deposed at any point (P1)
	FaultUnknown                     // commits whose outcome the leader does not learn
	FaultLag                         // followers lag behind the log (H4)
	FaultSlave                       // slave processes are killed (P2)
	FaultFramework                   // schedulers are killed (P2)
	FaultLoop                        // a process crashes again and again (P6)
	FaultPoint                       // a process dies between two effects (P8)
	FaultPause                       // processes stand still, some past their lease (P4, P5)
	FaultReboot                      // machines reboot (P9)
	FaultLeave                       // slaves leave in good order, or lose their disk (P3, D9)
	FaultSlowDisk                    // (D6)
	FaultDiskFails                   // writes fail (D2)
	FaultDiskFull                    // (D1)
	FaultDiskHangs                   // of slaves and of the leader (D7, D8)
	FaultJump                        // dates jump (C1f)
	FaultDrift                       // clocks drift (C2f)
	FaultSwap                        // two slaves swap addresses (N12)
	FaultRuntime                     // containers do not start, executors vanish
	FaultUser                        // schedulers are slow, hoard offers and acknowledge late (F1f)
	FaultHostile                     // strangers say what they like (F1f, F2f)
	FaultOperator                    // quotas, weights, drains, teardowns (O1)
	// Those from here on draw from streams of their own: see streams.go.
	FaultCorrupt     // bytes of a frame are flipped (N10)
	FaultNarrow      // a node's connections carry little (N11)
	FaultAddress     // a slave comes back under another address (N12)
	FaultDescriptors // a node can open nothing for a while (M1)
	FaultStarve      // a node gets so little of its processor that it does everything late (M3)
	FaultFork        // a machine can start no process for a while (M4)
	FaultSuspend     // machines are suspended: their monotonic clocks stand still with them (C3f)
	FaultSpin        // a master or a scheduler crashes again and again (P6)
	FaultStop        // slaves stop in good order and come back, also when they have just begun (P3)
	FaultSupervisor  // what watches a container is killed, and nobody knows how it ended (P2)
	FaultBlunder     // operators forbid everything, drain all, stop all (O1)
	FaultTransfer    // the leader hands the lead over in good order, again and again (H3, P3)
	FaultMembers     // masters are removed, the leader too, and others take their places (H1)
	FaultInstall     // a follower that has lost all gets a snapshot, and the leader ends meanwhile (H4, O1)
	FaultRestore     // a master is set back to the data that it had a while ago (D9, D10)
	FaultMasterDisk  // a master's disk is full, fails once or is slow (D1, D2, D6)
	FaultPoison      // the leader's core fails at a message (P7)
	FaultRot         // what is on disk is damaged at rest (D5)
	FaultResize      // a slave comes back with more than it had, or says that it has less (F2f)
	FaultForge       // strangers repeat what others have said, word for word or not, and speak for other clusters (F2f, F1f, H7)
	FaultTwin        // two processes of one scheduler live at once (F1f)
	FaultManners     // schedulers acknowledge nothing, twice, or what is not theirs, accept twice, decline without end (F1f)
	FaultTransient   // some schedulers want nothing of theirs on disk: their tasks end with their slave's process (F1f)
	FaultForeign     // a slave reaches a master of another cluster (H7)
	FaultSick        // tasks fail their checks, and are killed for their health (P2)
	FaultLease       // tasks have leases, and end when nobody renews them (P4, N5)
	endFaults
	// AllFaults is every class.
	AllFaults = endFaults - 1
)

var faultNames = []string{"delay", "duplicate", "reorder", "cut", "partition", "one-way", "flap", "clog", "leader", "master", "depose", "unknown",
	"lag", "slave", "framework", "loop", "point", "pause", "reboot", "leave", "slow-disk", "disk-fails", "disk-full", "disk-hangs", "jump", "drift",
	"swap", "runtime", "user", "hostile", "operator", "corrupt", "narrow", "address", "descriptors", "starve", "fork", "suspend", "spin", "stop",
	"supervisor", "blunder", "transfer", "members", "install", "restore", "master-disk", "poison", "rot", "resize", "forge", "twin", "manners",
	"transient", "foreign", "sick", "lease"}

// String lists the names of the classes in a set.
func (f Fault) String() string {
	var out []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ",")
}

// ParseFaults reads what String writes; "all" stands for every class.
func ParseFaults(text string) (f Fault, err error) {
	for name := range strings.SplitSeq(text, ",") {
		switch name {
		case "all":
			f |= AllFaults
			continue
		case "none", "":
			continue
		}
		found := false
		for i, known := range faultNames {
			if known == name {
				f |= 1 << i
				found = true
			}
		}
		if !found {
			return 0, fmt.Errorf("faults: %q is not known (allowed: all, none, %s)", name, strings.Join(faultNames, ", "))
		}
	}
	return f, nil
}

// swarm is what a round has drawn.
type swarm struct {
	on       Fault
	every    time.Duration // mean time between two faults
	discrete []Fault       // those that strike now and then
	delay    float64       // chance of a slow message
	slowest  time.Duration
	// Chances for each message, broken connection, proposal, flush, effect, start and delivery.
	duplicate, reorder, depose, unknown, slowDisk, diskFails, point, runtime, slowUser float64
	own                                                                                [64]float64 // strengths of the classes with streams of their own
}

const striking = FaultCut | FaultPartition | FaultOneWay | FaultFlap | FaultClog | FaultLeader | FaultMaster | FaultDepose | FaultLag | FaultSlave |
	FaultFramework | FaultLoop | FaultPause | FaultReboot | FaultLeave | FaultDiskFull | FaultDiskHangs | FaultJump | FaultDrift | FaultSwap |
	FaultHostile | FaultOperator | FaultRuntime

// drawSwarm draws a round's faults: each class that is allowed is on in every second round, at a strength of its own.
func (w *World) drawSwarm() {
	s := swarm{every: w.cfg.FaultEvery, slowest: 2 * time.Second}
	for i := range founders {
		f := Fault(1) << i
		if f&w.cfg.Faults == 0 { // draws nothing: a seed whose classes are named stays what it is when there are more of them
			continue
		}
		on, strength := w.chance(0.5), 0.1+float64(0.9*w.random.Float64()) // rounded in between, on every machine
		if !on && w.cfg.Swarm {
			continue
		}
		s.on |= f
		if f&striking != 0 {
			s.discrete = append(s.discrete, f)
		}
		switch f {
		case FaultDelay:
			s.delay, s.slowest = 0.05*strength, 2*time.Second+time.Duration(strength*18*float64(time.Second))
		case FaultDuplicate:
			s.duplicate = 0.2 * strength
		case FaultReorder:
			s.reorder = strength
		case FaultDepose:
			s.depose = 0.02 * strength
		case FaultUnknown:
			s.unknown = 0.1 * strength
		case FaultSlowDisk:
			s.slowDisk = 0.1 * strength
		case FaultDiskFails:
			s.diskFails = 0.002 * strength
		case FaultPoint:
			s.point = 0.0004 * strength
		case FaultRuntime:
			s.runtime = 0.1 * strength
		case FaultUser:
			s.slowUser = 0.05 * strength
		}
	}
	w.drawOwn(&s)
	w.swarm = s
	w.note("sim", "round %d: %s", w.round, s.on)
}

// diesHere draws whether a process ends right here, between two effects.
func (w *World) diesHere() bool {
	if w.calm || w.swarm.point == 0 || !w.chance(w.swarm.point) {
		return false
	}
	w.Faults++
	w.states.reach(StateCrashPoint)
	return true
}

// faults schedules the troubles of a round, until calm.
func (w *World) faults() {
	round := w.round
	var next func()
	next = func() {
		if w.calm || w.round != round {
			return
		}
		w.strike()
		w.after(w.between(w.swarm.every/20, 2*w.swarm.every), next)
	}
	w.after(w.between(w.swarm.every/20, 2*w.swarm.every), next)
	w.ownFaults()
}

// strike lets one of the round's faults happen.
func (w *World) strike() {
	if len(w.swarm.discrete) == 0 {
		return
	}
	w.Faults++
	switch f := w.swarm.discrete[w.random.IntN(len(w.swarm.discrete))]; f {
	case FaultCut:
		w.cutConnections()
	case FaultPartition, FaultOneWay, FaultFlap, FaultClog:
		w.netFault(f)
	case FaultLeader, FaultMaster, FaultDepose, FaultLag:
		w.masterFault(f)
	case FaultSlave, FaultFramework, FaultLoop, FaultPause:
		w.processFault(f)
	case FaultReboot, FaultLeave, FaultSwap, FaultDiskFull, FaultDiskHangs, FaultRuntime:
		w.machineFault(f)
	case FaultJump, FaultDrift:
		w.clockFault(f)
	case FaultHostile:
		w.stranger()
	case FaultOperator:
		w.operator.act()
	}
}

func (w *World) anyMaster() *master { return w.masters[w.random.IntN(len(w.masters))] }
func (w *World) anySlave() *slave   { return w.slaves[w.random.IntN(len(w.slaves))] }

func (w *World) anyNode() *node {
	nodes := w.nodes()
	if w.log.leader != nil && w.chance(0.2) {
		return &w.log.leader.m.node
	}
	return nodes[w.random.IntN(len(nodes))]
}

// cutConnections breaks one connection, or all of the leader's.
func (w *World) cutConnections() {
	w.counts.Cuts++
	if g := w.log; g.leader != nil && w.chance(0.2) {
		m := g.leader.m
		w.note("net", "all connections of %s break", m.id)
		w.severAll(5*time.Second, func(l *link) bool { return l.server == m })
		return
	}
	if n := len(w.links); n > 0 {
		l := w.links[w.random.IntN(n)]
		w.note("net", "connection %d of %s breaks", l.number, l.client.name())
		l.sever(w.mostly(time.Millisecond, 30*time.Second))
	}
}

func (w *World) netFault(f Fault) {
	d := w.mostly(time.Second, 15*time.Minute)
	switch f {
	case FaultPartition:
		switch w.random.IntN(5) {
		case 0:
			w.forAWhile(w.split(false), d)
		case 1:
			w.forAWhile(w.split(true), d)
		case 2:
			w.forAWhile(w.ring(), d)
		default:
			w.forAWhile(w.isolate(w.anyNode(), true, true), d)
		}
	case FaultOneWay:
		mute := w.chance(0.5)
		w.forAWhile(w.isolate(w.anyNode(), mute, !mute), d)
	case FaultFlap:
		p, end := w.isolate(w.anyNode(), true, true), w.now.Add(w.between(5*time.Second, time.Minute))
		p.name += ", on and off"
		var on func()
		on = func() {
			if w.calm || w.now.After(end) {
				return
			}
			w.forAWhile(p, w.between(100*time.Millisecond, 5*time.Second))
			w.after(w.between(5*time.Second, 8*time.Second), on)
		}
		on()
	case FaultClog:
		for range 2 + w.random.IntN(4) {
			p := w.isolate(w.anyNode(), true, true)
			w.after(w.between(0, 20*time.Second), func() {
				if !w.calm {
					w.forAWhile(p, w.between(time.Second, 40*time.Second))
				}
			})
		}
	}
}

func (w *World) masterFault(f Fault) {
	g := w.log
	m := w.anyMaster()
	switch f {
	case FaultLeader:
		if g.leader == nil {
			return
		}
		m = g.leader.m
	case FaultMaster:
		if w.chance(0.1) { // all of them
			for _, m := range w.masters {
				m.kill()
				w.after(w.between(time.Second, 20*time.Second), m.restart)
			}
			return
		}
	case FaultDepose:
		g.elect()
		return
	case FaultLag:
		m.lagging = true
		life := m.life
		w.after(w.mostly(time.Minute, 20*time.Minute), func() {
			if m.life == life {
				m.lagging = false
			}
		})
		return
	}
	m.kill()
	w.after(w.mostly(time.Second, 3*time.Minute), m.restart)
}

func (w *World) processFault(f Fault) {
	switch f {
	case FaultSlave:
		if s := w.anySlave(); s.alive {
			s.crash()
			w.after(w.mostly(100*time.Millisecond, 15*time.Minute), s.restart)
		}
	case FaultFramework:
		w.killFramework(w.mostly(100*time.Millisecond, 10*time.Minute))
	case FaultLoop:
		s := w.anySlave()
		for i := range 5 + w.random.IntN(15) {
			w.after(time.Duration(i)*3*time.Second+w.between(0, time.Second), func() {
				if s.alive && !w.calm {
					s.crash()
					w.after(w.between(10*time.Millisecond, 2*time.Second), s.restart)
				}
			})
		}
	case FaultPause:
		w.anyNode().pause(w.mostly(time.Second, 2*time.Minute))
	}
}

// killFramework kills a scheduler's process; one from outside keeps it, for its memory cannot be taken back.
func (w *World) killFramework(back time.Duration) {
	if len(w.frameworks) == 0 {
		return
	}
	f := w.frameworks[w.random.IntN(len(w.frameworks))]
	if f.alive && !f.outside() {
		f.crash()
		w.after(back, f.restart)
	}
}

func (w *World) machineFault(f Fault) {
	s := w.anySlave()
	switch f {
	case FaultReboot:
		s.reboot()
		w.after(w.mostly(time.Second, 5*time.Minute), s.restart)
	case FaultLeave:
		switch {
		case w.chance(0.5):
			s.leave()
		default:
			s.wipe()
			w.after(w.between(time.Second, 20*time.Second), s.restart)
		}
	case FaultSwap:
		if o := w.anySlave(); o != s {
			s.address, o.address = o.address, s.address
			for _, x := range []*slave{s, o} {
				x.crash()
				w.after(w.between(time.Second, 20*time.Second), x.restart)
			}
			w.states.reach(StateSwapped)
		}
	case FaultDiskFull:
		s.disk.full = true
		w.after(w.mostly(time.Second, 3*time.Minute), func() { s.disk.full = false })
	case FaultDiskHangs:
		if g := w.log; g.leader != nil && w.chance(0.3) {
			m, life := g.leader.m, g.leader.m.life
			m.hung = true
			w.note(m.id, "its disk hangs")
			w.log.watch()
			w.after(w.mostly(time.Second, 2*time.Minute), func() {
				if m.life == life {
					m.hung = false
				}
			})
			return
		}
		s.disk.hung = true
		w.after(w.mostly(time.Second, 2*time.Minute), func() { s.disk.heal(w.ns) })
	case FaultRuntime:
		s.runtime.trouble(s)
	}
}

func (w *World) clockFault(f Fault) {
	n := w.anyNode()
	if f == FaultDrift {
		n.clock.drift(w.ns, w.random.Int64N(100_001)-50_000)
		w.note(n.id, "its clock drifts by %d in a million", int(n.clock.ppm))
		return
	}
	w.states.reach(StateClockJumped)
	d := w.mostly(time.Second, 10*365*24*time.Hour)
	if w.chance(0.5) {
		d = -d
	}
	n.clock.wall = int64(d)
	w.note(n.id, "its date jumps by %v", d)
}

// heal ends all troubles. Everybody is up and connected from here on, but for a minority of the masters and few of the others if some may
// stay away.
func (w *World) heal(some bool) {
	w.calm, w.healed = true, w.ns
	w.note("net", "calm")
	w.endTwins()
	for len(w.partitions) > 0 {
		w.lift(w.partitions[0])
	}
	spare := 0
	if some {
		spare = w.random.IntN((len(w.masters)-1)/2 + 1)
	}
	for _, m := range w.masters {
		m.out, m.behind, m.rotten, m.slow, m.failing, m.poisoned = false, false, false, false, 0, false
	}
	for _, i := range w.random.Perm(len(w.masters)) {
		m := w.masters[i]
		m.away = spare > 0
		if m.away {
			spare--
			m.kill()
			continue
		}
		m.hung, m.lagging = false, false
		m.resume()
		m.restart()
	}
	for i, s := range w.slaves {
		s.away = some && i > 0 && w.chance(0.1)
		if s.away {
			s.crash()
			continue
		}
		s.disk.heal(w.ns)
		s.barren, s.shrunk = false, false
		if s.disk.rotten {
			s.wipe()
		}
		s.resume()
		s.restart()
	}
	for i, f := range w.frameworks {
		if f.outside() {
			f.restart()
			continue
		}
		f.away = some && i > 0 && w.chance(0.1)
		if f.away {
			f.crash()
			continue
		}
		f.resume()
		f.restart()
	}
	for _, n := range w.nodes() {
		n.clock.drift(w.ns, 0)
		n.relieve()
	}
	w.log.watch()
}

// back brings up who stayed away when the others were healed.
func (w *World) back() {
	for _, m := range w.masters {
		if m.away {
			m.restart()
		}
		m.away = false
	}
	for _, s := range w.slaves {
		if s.away {
			s.restart()
		}
		s.away = false
	}
	for _, f := range w.frameworks {
		if f.away {
			f.restart()
		}
		f.away = false
	}
}

// detect says whom a client would dial: most often the leader.
func (w *World) detect() *master {
	if g := w.log; g.leader != nil && (w.calm || w.chance(0.9)) {
		return g.leader.m
	}
	return w.masters[w.random.IntN(len(w.masters))]
}
