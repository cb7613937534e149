package lab

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// How many nodes of each kind there are. Their names are m1, m2, ..., s1, ..., f1, ...
const (
	masters    = 3
	slaves     = 5
	frameworks = 2
)

// A Kind is what a fault does.
type Kind string

// The kinds of faults.
const (
	Halves         Kind = "halves"          // Nodes and Others do not hear each other
	OneWay         Kind = "one-way"         // Others do not hear Nodes, which hear them
	LeaderAlone    Kind = "leader-alone"    // nobody hears the leader, nor it anybody
	Loss           Kind = "loss"            // Percent of all packets are lost
	KillLeader     Kind = "kill-leader"     // SIGKILL
	KillMasters    Kind = "kill-masters"    // SIGKILL of one or more
	KillSlaves     Kind = "kill-slaves"     // likewise; their tasks go on
	KillFrameworks Kind = "kill-frameworks" // likewise
	StopLeader     Kind = "stop-leader"     // SIGSTOP, for longer than its lease
	StopSlave      Kind = "stop-slave"      // SIGSTOP, for longer than the leases of its tasks
	StopFramework  Kind = "stop-framework"  // SIGSTOP
	MoveSlave      Kind = "move-slave"      // killed, and started again at another address
	MoveMaster     Kind = "move-master"     // likewise, and the others are told
	FullSlave      Kind = "full-slave"      // its disk is full
	FullMaster     Kind = "full-master"     // likewise
	Storm          Kind = "storm"           // Nodes are killed one after the other, and start again at once, while Percent of all packets are lost
	Away           Kind = "away"            // a slave is cut off for longer than masters wait for it
	StopLong       Kind = "stop-long"       // SIGSTOP, for longer than anybody waits
)

// leader stands in a plan for whoever leads when the fault comes.
const leader = "leader"

// everywhere are the kinds of which each round has one. Those of seldom take so long that only every second round has them, from the second on.
var everywhere = []Kind{Halves, OneWay, LeaderAlone, Loss, KillLeader, KillMasters, KillSlaves, KillFrameworks, StopLeader, StopSlave, StopFramework,
	MoveSlave, MoveMaster, FullSlave, FullMaster, Storm}

var seldom = []Kind{Away, StopLong}

// The nodes whose work directories are small disks of their own.
const (
	smallMaster = "m3"
	smallSlave  = "s5"
)

// taskLease is the lease of those long tasks that have one.
const taskLease = 10 * time.Second

// A Fault is one thing that goes wrong, and when it is over.
type Fault struct {
	Number  int
	Kind    Kind
	Nodes   []string
	Others  []string
	Percent int
	Hold    time.Duration
}

// String is the fault's line in the list.
func (f Fault) String() string {
	what := fmt.Sprintf("%3d %-15s %s", f.Number, f.Kind, strings.Join(f.Nodes, " "))
	switch f.Kind {
	case Halves:
		what += " | " + strings.Join(f.Others, " ")
	case OneWay:
		what += " > " + strings.Join(f.Others, " ")
	case Loss, Storm:
		what += fmt.Sprintf(" %d%%", f.Percent)
	}
	return fmt.Sprintf("%s, %v", what, f.Hold)
}

// A Plan is the endless list of faults of a seed.
type Plan struct {
	rng   *rand.Rand
	count int
	round int
	left  []Kind
	away  string // the master that is not at its first address
}

// NewPlan begins the list of a seed, which is always the same.
func NewPlan(seed uint64) *Plan { return &Plan{rng: rand.New(rand.NewPCG(seed, 0x6c6162))} }

// Next is the next fault.
func (p *Plan) Next() Fault {
	if len(p.left) == 0 {
		p.round++
		p.left = slices.Clone(everywhere)
		if p.round%2 == 0 {
			p.left = append(p.left, seldom...)
		}
		p.rng.Shuffle(len(p.left), func(i, j int) { p.left[i], p.left[j] = p.left[j], p.left[i] })
	}
	p.count++
	f := Fault{Number: p.count, Kind: p.left[0]}
	p.left = p.left[1:]
	p.fill(&f)
	return f
}

func (p *Plan) fill(f *Fault) {
	f.Hold = p.between(4, 10)
	switch f.Kind {
	case Halves:
		f.Nodes, f.Others = p.halves()
	case OneWay:
		all := append(names("m", masters), names("s", slaves)...)
		f.Nodes = []string{[]string{leader, all[p.rng.IntN(len(all))]}[p.rng.IntN(2)]}
		f.Others = []string{"all"}
	case LeaderAlone, StopLeader:
		f.Nodes = []string{leader}
	case Loss:
		f.Nodes, f.Percent, f.Hold = []string{"all"}, 5+p.rng.IntN(21), p.between(8, 15)
	case KillLeader:
		f.Nodes, f.Hold = []string{leader}, p.between(0, 5)
	case KillMasters:
		f.Nodes, f.Hold = p.some("m", masters), p.between(0, 5)
	case KillSlaves:
		f.Nodes, f.Hold = p.some("s", slaves), p.between(0, 5)
	case KillFrameworks:
		f.Nodes, f.Hold = p.some("f", frameworks), p.between(0, 5)
	case StopSlave:
		f.Nodes, f.Hold = p.one("s", slaves), p.between(16, 22)
	case StopFramework:
		f.Nodes = p.one("f", frameworks)
	case MoveSlave:
		f.Nodes, f.Hold = p.one("s", slaves), p.between(0, 3)
	case MoveMaster: // never two at once, because slaves and frameworks were told the first addresses
		f.Nodes, f.Hold = p.one("m", masters), p.between(0, 3)
		if p.away == "" {
			p.away = f.Nodes[0]
		} else {
			f.Nodes, p.away = []string{p.away}, ""
		}
	case FullSlave:
		f.Nodes = []string{smallSlave}
	case FullMaster:
		f.Nodes = []string{smallMaster}
	case Storm:
		f.Percent, f.Hold = 1+p.rng.IntN(10), p.between(6, 12)
		all := append(nodeNames(), leader, leader, leader)
		for range 6 + p.rng.IntN(9) {
			f.Nodes = append(f.Nodes, all[p.rng.IntN(len(all))])
		}
	case Away:
		f.Nodes, f.Hold = p.one("s", slaves), p.between(95, 110)
	case StopLong:
		all := append(nodeNames(), leader)
		f.Nodes, f.Hold = []string{all[p.rng.IntN(len(all))]}, p.between(80, 110)
	}
}

// between draws from whole tenths of a second.
func (p *Plan) between(from, to int) time.Duration {
	return time.Duration(10*from+p.rng.IntN(10*(to-from)+1)) * 100 * time.Millisecond
}

func (p *Plan) one(prefix string, n int) []string { return []string{names(prefix, n)[p.rng.IntN(n)]} }

// some draws one node, or more: rarely all.
func (p *Plan) some(prefix string, n int) []string {
	count := 1
	for count < n && p.rng.IntN(2) == 0 {
		count++
	}
	all := names(prefix, n)
	p.rng.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	slices.Sort(all[:count])
	return all[:count]
}

// halves draws a master that is parted from the other two, and a side for everybody else.
func (p *Plan) halves() (one, other []string) {
	alone := p.rng.IntN(masters)
	for i, name := range nodeNames() {
		first := p.rng.IntN(2) == 0
		if i < masters {
			first = i == alone
		}
		if first {
			one = append(one, name)
		} else {
			other = append(other, name)
		}
	}
	return one, other
}

func names(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, i+1)
	}
	return out
}

func nodeNames() []string {
	return slices.Concat(names("m", masters), names("s", slaves), names("f", frameworks))
}

// rules are the fault's for the bridge, in the words of nft; addresses has those of every node. A leader was resolved before.
func (f Fault) rules(addresses map[string][]string) []string {
	set := func(nodes []string) string {
		var all []string
		for _, n := range nodes {
			all = append(all, addresses[n]...)
		}
		return "{ " + strings.Join(all, ", ") + " }"
	}
	switch f.Kind {
	case Halves:
		one, other := set(f.Nodes), set(f.Others)
		return []string{"ip saddr " + one + " ip daddr " + other + " drop", "ip saddr " + other + " ip daddr " + one + " drop"}
	case OneWay:
		return []string{"ip saddr " + set(f.Nodes) + " drop"}
	case LeaderAlone, Away:
		return []string{"ip saddr " + set(f.Nodes) + " drop", "ip daddr " + set(f.Nodes) + " drop"}
	case Loss, Storm:
		return []string{fmt.Sprintf("ether type ip numgen random mod 100 < %d drop", f.Percent)}
	}
	return nil
}
