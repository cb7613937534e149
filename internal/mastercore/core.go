package mastercore

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/tidwall/btree"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// Core is the master's mind for one reign. It belongs to one goroutine; other goroutines read the Views that it gives out.
type Core struct {
	cfg  Config
	base time.Time // moment 0
	now  time.Time
	tick moment
	out  []Effect
	done bool // resigned: nothing is done any more

	conns      map[ConnID]*conn // looked up, never ranged over
	slaves     pages[slave]     // by the number in their id
	frameworks pages[framework] // by the number in their id
	tasks      taskTable
	offers     btree.Map[uint64, *outstanding]
	timers     timers
	jobs       []job

	maxSlave, maxFramework uint32 // the highest numbers handed out
	roles                  btree.Map[string, *registry.RoleRecord]
	completed              []uint32 // retired frameworks that are still shown, oldest first

	nextOffer, nextToken, nextUUID uint64
	proposals                      map[uint64]*proposal // looked up, never ranged over
	admitting                      map[registry.Key]*admission
	allotments                     []allocator.Allotment // scratch
	returned                       returned

	counts    counts
	brake     brake
	confirm   confirmations
	countAt   moment // when the next count-down is written
	quotaHeld bool   // roles with a quota get no offers yet
}

// counts are kept with every change, so that no decision has to count.
type counts struct {
	admitted   int // slaves that are admitted and neither unreachable nor gone
	recovering int // of those, not back in this reign
	silent     int // of those, not connected or not answering
	atStart    int // admitted when the reign began
	away       int // frameworks that are not connected
}

type connKind uint8

const (
	connNew connKind = iota
	connSlave
	connFramework
)

// conn is what is known of one connection.
type conn struct {
	kind      connKind
	of        uint32   // number of the slave or framework
	pending   bool     // its registration or subscription waits for the registry
	wants     connKind // of what is pending
	principal string
	key       registry.Key    // of its subscription
	rereg     *reregistration // parts so far
	accept    *acceptParts
}

// New returns a core at the beginning of a reign: everything admitted is known and nobody is connected.
func New(now time.Time, cfg Config) *Core {
	cfg = cfg.withDefaults()
	c := &Core{cfg: cfg, base: now, now: now, tick: 1, conns: map[ConnID]*conn{}, tasks: newTaskTable(cfg.Seed),
		proposals: map[uint64]*proposal{}, admitting: map[registry.Key]*admission{}}
	c.base = now.Add(-1)
	head := cfg.Registry.Header()
	c.maxSlave, c.maxFramework = uint32(head.NextSlave), uint32(head.NextFramework)
	for r := range cfg.Registry.Roles() {
		c.roles.Set(r.Role, r)
		c.apply(allocator.RoleSet{Role: r.Role, Weight: r.Weight, Guarantee: r.Guarantee, Limit: r.Limit, Force: true})
	}
	for r := range cfg.Registry.Slaves() {
		c.loadSlave(r)
	}
	for n := range cfg.Registry.GoneNumbers() {
		c.slaves.mut(uint32(n)).state = slaveGone
	}
	c.counts.atStart = c.counts.recovering
	c.quotaHeld = c.counts.recovering > 0
	for r := range cfg.Registry.Frameworks() {
		c.loadFramework(r)
	}
	c.timers.set(timerPrune, 0, c.tick+moment(cfg.PruneInterval))
	c.cfg.Registry = nil // read
	return c
}

// Step advances the core by one event and appends its effects to out. It is the only way to change the core. Effects are to be performed in
// order; Propose and the like end as an event of their own.
func (c *Core) Step(now time.Time, ev Event, out []Effect) []Effect {
	if c.done {
		return out
	}
	if t := moment(now.Sub(c.base)); t > c.tick {
		c.tick, c.now = t, now
	}
	c.out = out
	switch ev := ev.(type) {
	case Received:
		c.received(ev)
	case Disconnected:
		c.disconnected(ev.Conn)
	case Committed:
		c.committed(ev)
	case NotCommitted:
		c.notCommitted(ev)
	case Called:
		c.operate(ev.Principal, &ev.Call, answerTo{token: ev.Token})
	case Tick:
		c.runTimers()
		c.expireOffers()
		c.runJobs()
		c.allocate()
	}
	out, c.out = c.out, nil
	return out
}

// Deadline reports when the core next wants a Tick; zero means never. It is not after now while work is waiting: step a Tick when the
// inbox is drained and Deadline has come.
func (c *Core) Deadline() time.Time {
	if c.done {
		return time.Time{}
	}
	if len(c.jobs) > 0 || c.returned.times > 0 {
		return c.now
	}
	var at moment
	earliest := func(m moment) {
		if m != 0 && (at == 0 || m < at) {
			at = m
		}
	}
	if len(c.timers.queue) > 0 {
		earliest(c.timers.queue[0].at)
	}
	if _, o, ok := c.offers.Min(); ok {
		earliest(o.expires)
	}
	deadline := c.cfg.Allocator.Deadline()
	if at != 0 {
		if t := c.base.Add(time.Duration(at)); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	return deadline
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) send(to ConnID, m message.Message) { c.out = append(c.out, Send{to, m}) }

func (c *Core) note(n Note) { c.out = append(c.out, n) }

// apply tells the allocator. What comes from the registry and from messages was validated before, so a refusal is worth a look.
func (c *Core) apply(ev allocator.Event) {
	c.tellReturned()
	c.tellAllocator(ev)
}

func (c *Core) tellAllocator(ev allocator.Event) {
	if err := c.cfg.Allocator.Apply(c.now, ev); err != nil {
		c.note(Note{Event: "allocator refused", Text: err.Error()})
	}
}

func (c *Core) in(d time.Duration) moment {
	if d > maxWait {
		d = maxWait
	}
	return c.tick + moment(d)
}

// maxWait keeps sums of moments far from overflow: a hundred years.
const maxWait = 100 * 365 * 24 * time.Hour

// received routes one message. Slaves and frameworks are told apart by their first message.
func (c *Core) received(ev Received) {
	cn := c.conns[ev.Conn]
	if cn == nil {
		cn = &conn{}
		c.conns[ev.Conn] = cn
	}
	cn.principal = ev.Principal
	if ev.Message == nil {
		c.refuseConn(ev.Conn, offer.ReasonMalformed, "empty message")
		return
	}
	switch k := ev.Message.Kind(); {
	case k == message.KindOperate:
		if m, ok := ev.Message.(*message.Operate); ok {
			c.operate(ev.Principal, m, answerTo{conn: ev.Conn, seq: m.Seq})
		}
	case k >= message.KindSlaveRegister && k < message.KindSlaveRegistered:
		c.fromSlave(ev.Conn, cn, ev.Message)
	case k >= message.KindSubscribe && k < message.KindSubscribed || k == message.KindToExecutor:
		c.fromFramework(ev.Conn, cn, ev.Message)
	default:
		c.refuseConn(ev.Conn, offer.ReasonUnsupported, "message of kind "+utoa(uint64(k))+" is not for a master")
	}
}

// refuseConn tells a peer why it is turned away and closes the connection.
func (c *Core) refuseConn(id ConnID, reason offer.Reason, text string) {
	c.send(id, &message.Error{Reason: reason, Message: text})
	c.emit(Close{id, offer.Refuse(reason, text)})
}

func (c *Core) disconnected(id ConnID) {
	cn := c.conns[id]
	if cn == nil {
		return
	}
	delete(c.conns, id)
	switch cn.kind {
	case connSlave:
		if s := c.slaves.mut(cn.of); s.conn == id {
			c.slaveLost(cn.of, s)
		}
	case connFramework:
		if f := c.frameworks.mut(cn.of); f.conn == id {
			c.frameworkLost(cn.of, f)
		}
	}
}

// proposal is one write to the registry under way, and what is to happen once it is committed. Nothing is told before (L2).
type proposal struct {
	token    uint64
	commands []registry.Command
	then     continuation
	attempts int
	due      moment
}

// continuation goes on where a proposal was made.
type continuation interface {
	committed(c *Core, results []registry.Result)
}

func (c *Core) propose(then continuation, ops ...registry.Op) {
	c.proposeKeyed(registry.Key{}, then, ops...)
}

// proposeKeyed proposes ops under a key of the caller's, or under one of its own if that is zero.
func (c *Core) proposeKeyed(key registry.Key, then continuation, ops ...registry.Op) {
	c.nextToken++
	p := &proposal{token: c.nextToken, then: then, commands: make([]registry.Command, len(ops))}
	for i, op := range ops {
		k := key
		if k == (registry.Key{}) {
			binary.BigEndian.PutUint64(k[:8], c.cfg.Reign)
			binary.BigEndian.PutUint32(k[8:12], uint32(i))
			binary.BigEndian.PutUint32(k[12:], uint32(p.token))
			k[8] = byte(p.token >> 32)
		}
		p.commands[i] = registry.Command{Key: k, Op: op}
	}
	c.proposals[p.token] = p
	c.emit(Propose{p.token, p.commands})
}

// nonceKey makes the key of an admission from the nonce of whoever asks, so that attempts at different leaders are one.
func nonceKey(kind byte, principal string, nonce offer.UUID) registry.Key {
	h := sha256.Sum256(append(append([]byte{kind}, nonce[:]...), principal...))
	return registry.Key(h[:16])
}

func (c *Core) committed(ev Committed) {
	p := c.proposals[ev.Token]
	if p == nil {
		return
	}
	if len(ev.Results) != len(p.commands) {
		c.resign(offer.Refuse(offer.ReasonInternal, "a commit has another number of results than commands"))
		return
	}
	if slices.ContainsFunc(ev.Results, func(r registry.Result) bool { return r.Err != nil && r.Err.Reason == offer.ReasonOldReign }) {
		c.resign(offer.Refuse(offer.ReasonOldReign, "another master leads"))
		return
	}
	delete(c.proposals, ev.Token)
	p.then.committed(c, ev.Results)
}

// notCommitted tries again under the same keys, which makes an attempt whose outcome is unknown harmless. A leader that cannot commit
// stops acting.
func (c *Core) notCommitted(ev NotCommitted) {
	p := c.proposals[ev.Token]
	if p == nil {
		return
	}
	p.attempts++
	if p.attempts > c.cfg.MaxRetries {
		c.resign(offer.Refuse(offer.ReasonRegistryUnavailable, "the registry could not be written"))
		return
	}
	p.due = c.in(c.cfg.RetryDelay)
	c.timers.set(timerRetry, p.token, p.due)
}

func (c *Core) retry(token uint64) {
	if p := c.proposals[token]; p != nil && p.due != 0 {
		p.due = 0
		c.emit(Propose{p.token, p.commands})
	}
}

func (c *Core) resign(why *offer.Refusal) {
	if !c.done {
		c.done = true
		c.emit(Resign{why})
	}
}

// uuid makes a name for an operation: the reign and a counter, which never repeat.
func (c *Core) uuid() (u offer.UUID) {
	c.nextUUID++
	binary.BigEndian.PutUint64(u[:8], c.cfg.Reign)
	binary.BigEndian.PutUint64(u[8:], c.nextUUID)
	return u
}

// job is work that one Step would take too long for.
type job interface {
	// run does a bounded amount and reports whether anything is left.
	run(c *Core) bool
	// owner is the framework that it is done for; zero if it is not one alone.
	owner() uint32
}

func (c *Core) runJobs() {
	if len(c.jobs) == 0 {
		return
	}
	j := c.jobs[0]
	c.jobs = c.jobs[1:]
	if j.run(c) {
		c.jobs = append(c.jobs, j) // to the end: jobs take turns
	} else if n := j.owner(); n != 0 {
		c.frameworks.mut(n).jobs--
	}
}
