package sim

import (
	"fmt"
	"math"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// This file is L3: what operators and masters write to the registry and read from its leaders is as if each write had happened at one moment
// between its call and its answer. Each key has a history of its own, and each round one that is checked at its end. A call whose outcome
// nobody knows may take effect at any later time, or never; one that was refused is not in the history.
//
//	role:R    weight and quota of a role, as operators set them and leaders know them
//	slave:S   whether a slave takes part, drains or is gone, as operators set it and leaders know it
//	member:S  whether a slave is on record, unreachable or gone, as masters write it and leaders know it
//	frame:F   whether a framework is on record, as masters write it and leaders know it

// registers are the histories of all keys.
type registers struct {
	clock int64 // counts calls and answers: no two are at the same time
	byKey map[string]*register
	order []*register
	under map[underWay]*registerOp // writes of masters, by reign and key; looked up
}

type underWay struct {
	reign *reign
	key   registry.Key
	what  string // the register: a pruning has many
}

// A register is the history of one key.
type register struct {
	key  string
	init value
	ops  []*registerOp
}

// A registerOp is one write, or one read of value.
type registerOp struct {
	call, end int64 // end is zero while the outcome is not known
	reign     *reign
	write     func(value) value // nil for a read
	name      string
	value     value
	dropped   bool // refused
	part      bool // a read of whether a slave takes part
}

// value is what a key holds. Which fields are used depends on the key.
type value struct {
	Weight           resource.Scalar
	Guarantee, Limit string
	Inactive, Drains bool
	MarksGone        bool // the drain ends with the slave marked gone
	Is               standing
}

type standing string

const (
	present     standing = ""
	unreachable standing = "unreachable"
	gone        standing = "gone"
	missing     standing = "absent"
)

// What a key may cost to check, which grows beyond all bounds in the worst case.
const (
	maxRegisterOps = 2000
	maxUnknown     = 10
	maxRead        = 24 // slaves that each new leader is asked for
)

func newRegisters() registers {
	return registers{byKey: map[string]*register{}, under: map[underWay]*registerOp{}}
}

// of finds the history of a key; init is what it holds if this is the first that is heard of it.
func (g *registers) of(key string, init value) *register {
	r := g.byKey[key]
	if r == nil {
		r = &register{key: key, init: init}
		g.byKey[key] = r
		g.order = append(g.order, r)
	}
	return r
}

func (g *registers) tick() int64 {
	g.clock++
	return g.clock
}

func (g *registers) begin(key string, init value, name string, write func(value) value) *registerOp {
	op := &registerOp{call: g.tick(), name: name, write: write}
	r := g.of(key, init)
	r.ops = append(r.ops, op)
	return op
}

// defaultRole is what a role without a record is entitled to.
var defaultRole = value{Weight: registry.DefaultWeight}

// asked notes an operator's call; nil if it is none that the registry keeps.
func (g *registers) asked(m *message.Operate) *registerOp {
	switch m.Verb {
	case message.VerbSetWeight:
		return g.begin("role:"+m.Role, defaultRole, fmt.Sprintf("weight %v", m.Weight), func(v value) value {
			v.Weight = m.Weight
			return v
		})
	case message.VerbSetQuota:
		guarantee, limit := quantities(m.Guarantee), quantities(m.Limit)
		return g.begin("role:"+m.Role, defaultRole, "quota "+guarantee+" to "+limit, func(v value) value {
			v.Guarantee, v.Limit = guarantee, limit
			return v
		})
	case message.VerbDrain:
		return g.takesPart(m.Slave, "drain", value{Inactive: true, Drains: true, MarksGone: m.Drain.MarkGone})
	case message.VerbDeactivate:
		return g.begin("slave:"+string(m.Slave), value{}, "deactivate", func(v value) value {
			if v.Is != gone {
				v.Inactive, v.Is = true, present
			}
			return v
		})
	case message.VerbReactivate:
		return g.takesPart(m.Slave, "reactivate", value{})
	case message.VerbMarkGone:
		return g.begin("slave:"+string(m.Slave), value{}, "gone", func(value) value { return value{Is: gone} })
	}
	return nil
}

func (g *registers) takesPart(id offer.SlaveID, name string, to value) *registerOp {
	return g.begin("slave:"+string(id), value{}, name, func(v value) value {
		if v.Is == gone {
			return v
		}
		return to
	})
}

func quantities(q resource.Quantities) string {
	var b strings.Builder
	for i := range q {
		fmt.Fprintf(&b, "%s:%v;", q[i].Name, q[i].Amount)
	}
	return b.String()
}

// done notes the answer to an operator's call.
func (g *registers) done(op *registerOp, refused bool) {
	if op != nil {
		op.end, op.dropped = g.tick(), refused
	}
}

// proposed notes what a master writes. A repetition under the same key is the same write.
func (g *registers) proposed(r *reign, commands []registry.Command) {
	for i := range commands {
		each(commands[i].Op, func(key, name string, write func(value) value) {
			at := underWay{r, commands[i].Key, key}
			if g.under[at] == nil {
				op := g.begin(key, value{}, name, write)
				op.reign = r
				g.under[at] = op
			}
		})
	}
}

// committed notes that a master has learned the outcome of what it wrote.
func (g *registers) committed(r *reign, commands []registry.Command, results []registry.Result) {
	for i := range commands {
		each(commands[i].Op, func(key, _ string, _ func(value) value) {
			at := underWay{r, commands[i].Key, key}
			if op := g.under[at]; op != nil {
				g.done(op, results[i].Err != nil)
				delete(g.under, at)
			}
		})
	}
}

// each names the keys that a command writes to, and how.
func each(op registry.Op, do func(key, name string, write func(value) value)) {
	become := func(s standing, unless ...standing) func(value) value {
		return func(v value) value {
			for _, x := range unless {
				if v.Is == x {
					return v
				}
			}
			return value{Is: s}
		}
	}
	switch op := op.(type) {
	case *registry.MarkUnreachable:
		do("member:"+string(op.ID), "unreachable", become(unreachable, gone, missing))
	case *registry.MarkReachable:
		do("member:"+string(op.Slave.ID), "reachable", become(present, gone))
	case *registry.MarkGone:
		do("member:"+string(op.ID), "gone", become(gone))
	case *registry.RemoveSlave:
		do("member:"+string(op.ID), "remove", become(missing, gone))
	case *registry.PruneSlaves:
		for _, id := range op.IDs {
			do("member:"+string(id), "prune", become(missing, gone, present))
		}
	case *registry.RemoveFramework:
		do("frame:"+string(op.ID), "remove", become(missing))
	}
}

func (g *registers) saw(key string, v value) {
	r := g.of(key, v)
	now := g.tick()
	r.ops = append(r.ops, &registerOp{call: now, end: now, value: v, part: strings.HasPrefix(key, "slave:")})
}

// readRole asks the true leader what it knows of a role; readSlave of a slave.
func (g *registers) readRole(v *mastercore.View, role string) {
	have := defaultRole
	for rec := range v.Roles() {
		if rec.Role == role {
			have = value{Weight: rec.Weight, Guarantee: quantities(rec.Guarantee), Limit: quantities(rec.Limit)}
		}
	}
	g.saw("role:"+role, have)
}

func (g *registers) readSlave(r *reign, v *mastercore.View, id offer.SlaveID) {
	if id == "" {
		return
	}
	s, ok := v.Slave(id)
	part, member := value{Inactive: !s.Active, Drains: s.Drain != nil, MarksGone: s.Drain != nil && s.Drain.MarkGone}, value{}
	switch {
	case ok && s.State == mastercore.SlaveGone, !ok && r.m.state.View().Gone(id):
		part, member = value{Is: gone}, value{Is: gone}
	case !ok:
		part, member = value{Is: missing}, value{Is: missing}
	case s.State == mastercore.SlaveUnreachable:
		member.Is = unreachable
	}
	g.saw("slave:"+string(id), part)
	g.saw("member:"+string(id), member)
}

// readAll asks a leader for all that operators and masters change.
func (g *registers) readAll(r *reign) {
	w, v := r.m.w, r.core.View()
	for _, role := range operatorRoles {
		g.readRole(v, role)
	}
	for i, s := range w.slaves {
		if i == maxRead {
			break
		}
		g.readSlave(r, v, s.sid)
	}
	for _, f := range w.frameworks {
		if f.fid != "" {
			have := value{}
			if got, ok := v.Framework(f.fid); !ok || got.Completed {
				have.Is = missing
			}
			g.saw("frame:"+string(f.fid), have)
		}
	}
}

// check reports the first key whose history cannot have happened one after the other, and forgets the histories. Whoever calls sees to it
// that nothing is under way that may still take effect.
func (g *registers) check() (bad *register) {
	for _, r := range g.order {
		if bad == nil && !r.linear() {
			bad = r
		}
	}
	g.byKey, g.order = map[string]*register{}, nil
	clear(g.under)
	return bad
}

// linear reports whether the history is in order. One that is too large to be checked counts as such.
func (r *register) linear() bool {
	var list []porcupine.Operation
	unknown := 0
	for _, op := range r.ops {
		if op.dropped {
			continue
		}
		end := op.end
		if end == 0 {
			end = math.MaxInt64
			unknown++
		}
		list = append(list, porcupine.Operation{Input: op, Call: op.call, Output: nil, Return: end})
	}
	if len(list) > maxRegisterOps || unknown > maxUnknown || len(list) < 2 {
		return true
	}
	return porcupine.CheckOperations(porcupine.Model{Init: func() any { return r.init }, Step: registerStep}, list)
}

// registerStep carries out one operation. What happens to a slave without an operator may have happened by the time it is read: it may have
// left or been forgotten, come back as if it were new, or have gone at the end of its drain.
func registerStep(state, input, _ any) (bool, any) {
	v, op := state.(value), input.(*registerOp)
	if op.write != nil {
		return true, op.write(v)
	}
	switch {
	case v == op.value:
	case op.part && op.value.Is == missing && v.Is != gone:
	case op.part && v.Is == missing && op.value == (value{}):
	case op.value.Is == gone && v.MarksGone:
	default:
		return false, v
	}
	return true, op.value
}

func (r *register) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, at first %+v:", r.key, r.init)
	for i, op := range r.ops {
		if len(r.ops)-i > 30 || op.dropped {
			continue
		}
		if op.write == nil {
			fmt.Fprintf(&b, "\n  %d read %+v", op.call, op.value)
		} else {
			fmt.Fprintf(&b, "\n  %d to %d %s", op.call, op.end, op.name)
		}
	}
	return b.String()
}
