package allocator

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Bounds of one Explain.
const (
	// MaxExplained bounds the pairs of a role and a slave that are looked at; Explanation.Unseen counts the others.
	MaxExplained = 1 << 17
	// MaxFindings bounds Explanation.Findings; Explanation.More counts the others.
	MaxFindings = 64
	// maxCompared bounds the slaves that constraints are evaluated for, other than those for which a run has done so.
	maxCompared = 1000
	// maxRivals bounds the clients of which it is found out whether they come first.
	maxRivals = 4096
	// maxNamed bounds lists inside of a Finding.
	maxNamed = 3
)

// A Cause is why a framework is offered nothing of a slave, or that it is. They are in the order in which a run looks at them.
type Cause uint8

// The causes. Those up to TooManyOffers concern the framework and are the same for all slaves.
const (
	// NotSubscribed: the framework is not subscribed to the role.
	NotSubscribed Cause = iota + 1
	// Inactive: the framework is not connected, or takes no part in offers for another reason.
	Inactive
	// SuppressedRole: the framework wants no offers in the role.
	SuppressedRole
	// TooManyOffers: as many offers of the framework are outstanding as Config.MaxOutstanding allows. Want are outstanding, Have are allowed.
	TooManyOffers
	// NoSlaves: there is no slave at all.
	NoSlaves
	// SlaveInactive: the slave takes no part in offers; it is draining, deactivated or not connected.
	SlaveInactive
	// NotListed: the slave's host, Of, is not on the whitelist.
	NotListed
	// Constrained: the slave does not meet the constraints of the role; see Miss.
	Constrained
	// NotCompared: no run has compared the constraints with the slave yet, and there are too many such slaves to do it now.
	NotCompared
	// ScarceKind: the slave has some of Of, which is scarce, and the framework has not asked for it.
	ScarceKind
	// Remote: the slave is in the region Of, and the framework is not RegionAware.
	Remote
	// Reserved: what would be enough is reserved to the role Of. Resources are some of it; the framework sees Have of Name, and Want is
	// needed.
	Reserved
	// Hidden: what would be enough is of a sort that the framework does not understand; Capability says which. Resources, Name, Have and Want as of Reserved.
	Hidden
	// Filtered: the framework has refused Resources, and Wait is left.
	Filtered
	// OverLimit: the limit of the role Of leaves Have of the scalar Name, and Want is needed. Limit and Consumed are the role's.
	OverLimit
	// KeptBack: of the scalar Name the guarantees, some of which are in Promises, leave Have, and Want is needed.
	KeptBack
	// BelowMinimum: the slave has Have of the scalar Name for the framework, and Want, in Set, is the least that is worth an offer. Total is
	// what it would have if nobody held anything.
	BelowMinimum
	// NotNeeded: it is not what the framework has said it needs. Set is what comes nearest; Name, Have, Want and Total as of BelowMinimum.
	NotNeeded
	// OthersTurn: Rival comes first, or holds what is missing if its Resources are not empty.
	OthersTurn
	// Holding: the framework holds Resources there, offered or used, and there is nothing more. Offers of them are known to be outstanding,
	// if Config.MaxOutstanding has them counted.
	Holding
	// NextRun: the framework will be offered Resources, or more, in the next run.
	NextRun
)

var causes = [...]string{NotSubscribed: "not-subscribed", Inactive: "inactive", SuppressedRole: "suppressed", TooManyOffers: "too-many-offers",
	NoSlaves: "no-slaves", SlaveInactive: "slave-inactive", NotListed: "not-listed", Constrained: "constrained", NotCompared: "not-compared",
	ScarceKind: "scarce", Remote: "remote", Reserved: "reserved", Hidden: "hidden", Filtered: "filtered", OverLimit: "over-limit",
	KeptBack: "kept-back", BelowMinimum: "below-minimum", NotNeeded: "not-needed", OthersTurn: "others-turn", Holding: "holding", NextRun: "next-run"}

// String returns the cause in one word, for programs and logs.
func (c Cause) String() string {
	if c < NotSubscribed || c > NextRun {
		return fmt.Sprintf("cause-%d", uint8(c))
	}
	return causes[c]
}

// A Finding is one cause, for one slave or for as many as it is the same for.
type Finding struct {
	Cause    Cause
	Role     string          // of the framework, that it is about
	Slaves   int             // how many slaves it is so for
	Examples []offer.SlaveID // at most 3 of them: where most is missing, or it takes longest, first

	// The rest depends on the cause, and is about one slave: the one where least is missing.
	Slave      offer.SlaveID // empty for what concerns the framework alone
	Of         string        // a role, a host, a scarce kind or a region
	Name       string        // of a scalar; empty if nothing at all is there
	Want, Have resource.Scalar
	Total      resource.Scalar
	Limit      resource.Scalar
	Consumed   resource.Scalar
	Set        resource.Quantities
	Resources  resource.Resources
	Wait       time.Duration
	Offers     int // outstanding ones, as far as they are counted
	Miss       *offer.Miss
	Capability offer.Capabilities
	Promises   []Promise
	Rival      *Rival

	Change Change // the smallest that would end this cause
}

// A Promise is a guarantee that is not met: Guarantee of a scalar, of which Consumed is.
type Promise struct {
	Role                string
	Guarantee, Consumed resource.Scalar
}

// A Rival is another framework that comes before the one that was asked about. Both have a common role, Level ("" is the top), and below it
// they part: Mine and Its are the roles or frameworks there, and MyShare and ItsShare their weighted dominant shares in millionths of the
// cluster. Under the Random policy the shares are 0, and the order is drawn for each slave.
type Rival struct {
	Framework         offer.FrameworkID
	Role              string
	Level             string
	Mine, Its         string
	MyShare, ItsShare int64
	Later             bool               // it comes later now; it came first when it got Resources
	Resources         resource.Resources // what it holds of the slave
	random            bool
	guaranteed        bool // it comes first because of its guarantee
}

// An Explanation says why a framework is offered nothing, by role and in the order of Cause.
type Explanation struct {
	Framework offer.FrameworkID
	Role      string        // as asked; empty for all
	Slave     offer.SlaveID // as asked; empty for all
	Slaves    int           // how many there are, or 1
	Findings  []Finding
	More      int // findings beyond MaxFindings
	Unseen    int // pairs of a role and a slave beyond MaxExplained
}

// Explain says why a framework is offered nothing in a role of a slave, or that it will be, and what would change that. An empty role stands for
// all roles that the framework is subscribed to, an empty slave for all slaves; findings that are alike are then one. What stands in the way is
// found independently: each finding must be changed. Times are relative to now.
//
// It changes nothing and is computed from what the allocator has for its own use, so that it costs nothing when nobody asks. One slave costs as
// much as a run that looks at it, and as one look at each rival if it is somebody's turn. All slaves cost O(slaves + what is held on them), with
// one walk from the role to the root for each, and at most MaxExplained looks. It fails if the framework or the slave is not known.
func (a *Hierarchical) Explain(now time.Time, framework offer.FrameworkID, role string, on offer.SlaveID) (Explanation, error) {
	out := Explanation{Framework: framework, Role: role, Slave: on}
	f := a.frameworks[framework]
	if f == nil {
		return out, fmt.Errorf("framework %.64q: is not known (allowed: one that is subscribed or holds something)", framework)
	}
	x := &explainer{a: a, out: &out, rows: map[finding]int{}, subjects: map[int32]*subject{}}
	if a.clock.started {
		x.now = int64(now.Sub(a.clock.base))
	}
	switch {
	case on == "":
		x.slaves, out.Slaves = a.slaves, len(a.slaveIndex)
	case a.slaveIndex[on] == nil:
		return out, fmt.Errorf("slave %.64q: is not known (allowed: one that is registered)", on)
	default:
		x.slaves, out.Slaves = []*slave{a.slaveIndex[on]}, 1
	}
	if role != "" {
		x.explain(f.client(role), role)
	} else {
		some := false
		for _, c := range f.clients {
			if c.subscribed {
				some = true
				x.explain(c, c.role.name)
			}
		}
		if !some {
			x.explain(nil, "")
		}
	}
	slices.SortStableFunc(out.Findings, func(g, h Finding) int {
		return cmp.Or(cmp.Compare(g.Role, h.Role), cmp.Compare(g.Cause, h.Cause), cmp.Compare(h.Slaves, g.Slaves))
	})
	if n := len(out.Findings); n > MaxFindings {
		out.Findings, out.More = out.Findings[:MaxFindings:MaxFindings], n-MaxFindings
	}
	return out, nil
}

// explainer is one Explain under way.
type explainer struct {
	a      *Hierarchical
	out    *Explanation
	now    int64
	slaves []*slave
	rows   map[finding]int // where in out.Findings; looked up, never ranged over
	lacks  []lacks         // of out.Findings

	subjects map[int32]*subject // by client; looked up, never ranged over

	found    int // findings about slaves, alike or not
	pairs    int
	compared int
	rivals   int
	promised map[string][]Promise // by scalar; looked up, never ranged over
}

// lacks is what is missing at the slaves of a finding: the least, and at the examples.
type lacks struct {
	least int64
	most  [maxNamed]int64
}

// finding is what makes two findings alike.
type finding struct {
	cause          Cause
	role, of, name string
	capability     offer.Capabilities
	rival          *client
}

// explain adds the findings about one role of the framework; c is nil if it has nothing to do with the role.
func (x *explainer) explain(c *client, role string) {
	if c == nil || !c.subscribed {
		x.ofAll(Finding{Cause: NotSubscribed, Role: role, Change: Change{Kind: Subscribe, Role: role}})
		return
	}
	f := c.framework
	if !f.active {
		x.ofAll(Finding{Cause: Inactive, Role: role, Change: Change{Kind: Reconnect}})
	}
	if c.suppressed {
		x.ofAll(Finding{Cause: SuppressedRole, Role: role, Change: Change{Kind: Revive, Role: role}})
	}
	if most := x.a.cfg.MaxOutstanding; most > 0 && f.outstanding >= most {
		x.ofAll(Finding{Cause: TooManyOffers, Role: role, Want: resource.Units(int64(f.outstanding)), Have: resource.Units(int64(most)),
			Change: Change{Kind: AnswerOffers, Amount: resource.Units(int64(f.outstanding - most + 1))}})
	}
	if x.out.Slaves == 0 {
		x.ofAll(Finding{Cause: NoSlaves, Role: role, Change: Change{Kind: AddSlave}})
	}
	u := x.subject(c)
	u.blocked = !f.active || c.suppressed || x.a.cfg.MaxOutstanding > 0 && f.outstanding >= x.a.cfg.MaxOutstanding
	for _, s := range x.slaves {
		switch {
		case s == nil:
		case x.pairs >= MaxExplained:
			x.out.Unseen++
		default:
			x.pairs++
			x.explainSlave(u, s)
		}
	}
}

// ofAll adds a finding that is the same for all slaves.
func (x *explainer) ofAll(f Finding) {
	f.Slaves = x.out.Slaves
	x.out.Findings = append(x.out.Findings, f)
	x.lacks = append(x.lacks, lacks{})
}

// add adds a finding about one slave, of which lack is missing in some unit, to those that are alike.
func (x *explainer) add(u *subject, s *slave, f Finding, rival *client, lack int64) {
	x.found++
	f.Role, f.Slave = u.c.role.name, s.id
	key := finding{f.Cause, f.Role, f.Of, f.Name, f.Capability, rival}
	i, ok := x.rows[key]
	if !ok {
		i = len(x.out.Findings)
		x.rows[key] = i
		x.out.Findings = append(x.out.Findings, f)
		x.lacks = append(x.lacks, lacks{least: lack})
	}
	row, known := &x.out.Findings[i], &x.lacks[i]
	examples, slaves := row.Examples, row.Slaves+1
	if lack < known.least {
		*row, known.least = f, lack
	}
	at := len(examples)
	for at > 0 && known.most[at-1] < lack {
		at--
	}
	if at < maxNamed {
		examples = slices.Insert(examples, at, s.id)
		examples = examples[:min(len(examples), maxNamed)]
		copy(known.most[at+1:], known.most[at:])
		known.most[at] = lack
	}
	row.Slaves, row.Examples = slaves, examples
}
