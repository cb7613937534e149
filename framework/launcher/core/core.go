package core

import (
	"fmt"
	"time"

	"github.com/tidwall/btree"

	"github.com/meros-project/meros/offer"
)

// A Core decides what is launched where. It belongs to one goroutine.
type Core struct {
	cfg Config
	now time.Time
	out []Effect
	seq uint64

	subscribed bool
	roles      map[string]*role
	order      []*role // as configured

	units    map[string]*unit
	tasks    map[offer.TaskID]*member // by submitted id
	attempts map[offer.TaskID]*member // by the id of the live attempt
	strays   map[offer.TaskID]*stray
	lost     *btree.BTreeG[*stray] // strays, in the order in which they were given up
	sets     map[string]*set
	classes  map[string]*class
	rules    map[Constraint]*rule
	backoffs map[string]*backoff
	fading   *btree.BTreeG[*backoff]
	queue    *btree.BTreeG[*unit]  // that wait, the most urgent first
	alarms   *btree.BTreeG[*unit]  // that have something due
	slaves   map[offer.SlaveID]int // how many attempts run on each

	book book
	run  *run
	runs uint64
	hold hold
	buf  []byte
}

// New makes a Core.
func New(cfg Config) (*Core, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Core{cfg: cfg.withDefaults(), roles: map[string]*role{}, units: map[string]*unit{}, tasks: map[offer.TaskID]*member{},
		attempts: map[offer.TaskID]*member{}, strays: map[offer.TaskID]*stray{}, sets: map[string]*set{}, classes: map[string]*class{}, rules: map[Constraint]*rule{},
		backoffs: map[string]*backoff{}, slaves: map[offer.SlaveID]int{}}
	options := btree.Options{NoLocks: true}
	c.lost = btree.NewBTreeGOptions(lessStray, options)
	c.fading = btree.NewBTreeGOptions(lessBackoff, options)
	c.queue = btree.NewBTreeGOptions(lessUnit, options)
	c.alarms = btree.NewBTreeGOptions(lessAlarm, options)
	c.book.reset()
	for _, name := range c.cfg.Roles {
		r := &role{name: name}
		c.roles[name] = r
		c.order = append(c.order, r)
	}
	return c, nil
}

// Step advances the core by one event and appends its effects to out. It is the only way to change the core. Effects must be performed in
// their order.
func (c *Core) Step(now time.Time, ev Event, out []Effect) []Effect {
	if now.After(c.now) {
		c.now = now
	}
	c.out = out
	switch ev := ev.(type) {
	case Subscribed:
		c.connected()
	case Disconnected:
		c.disconnected()
	case Offered:
		c.offered(ev.Offers)
	case Rescinded:
		c.rescinded(ev.Offers)
	case Updated:
		c.updated(&ev.Status)
	case Submitted:
		c.submit(ev.Task)
	case SubmittedGroup:
		c.submitGroup(ev.Group)
	case Adopted:
		c.adopt(ev)
	case Killed:
		c.kill(ev)
	case Forgiven:
		c.forgive(ev.Backoff)
	case NotLaunched:
		c.notLaunched(ev)
	case Tick:
	default:
		panic(fmt.Sprintf("launcher: event %T is not known", ev))
	}
	c.due()
	c.match()
	c.demand()
	out, c.out = c.out, nil
	return out
}

// Deadline reports when the core next wants a Tick; zero means never.
func (c *Core) Deadline() time.Time {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if c.run != nil {
		return c.now
	}
	if u, ok := c.alarms.Min(); ok {
		sooner(u.alarm)
	}
	if b, ok := c.fading.Min(); ok {
		sooner(b.over)
	}
	sooner(c.book.due)
	sooner(c.hold.until)
	for _, r := range c.order {
		sooner(r.reviveAt)
	}
	return at
}

func (c *Core) effect(e Effect) { c.out = append(c.out, e) }

func (c *Core) tell(o Outcome) { c.effect(Tell{o}) }

func (c *Core) refuse(r *offer.Refusal) { c.effect(Refused{r}) }

// due looks after everything whose time has come, at most as much as one Step may do.
func (c *Core) due() {
	for range c.cfg.Work {
		u, ok := c.alarms.Min()
		if !ok || u.alarm.After(c.now) {
			break
		}
		c.wake(u)
	}
	c.forget()
	if c.hold.unit != nil && !c.hold.until.After(c.now) && c.run == nil {
		c.giveUp()
	}
}

const reconcileBatch = 1000

// connected asks for the state of everything that was launched; the kills that were under way are repeated.
func (c *Core) connected() {
	c.subscribed = true
	for _, r := range c.order {
		r.renew()
	}
	var refs []Ref
	add := func(at *Placed, lease time.Duration) {
		if refs = append(refs, Ref{at.Task, at.Slave, lease}); len(refs) == reconcileBatch {
			c.effect(Reconcile{refs})
			refs = nil
		}
	}
	for _, u := range c.sorted() {
		if u.since.IsZero() {
			u.since = c.now
		}
		if u.phase != placed {
			continue
		}
		for _, m := range u.members {
			if !m.gone {
				add(&m.at, m.task.Task.Lease)
			}
		}
		c.killAgain(u)
		c.ring(u)
	}
	c.lost.Scan(func(s *stray) bool { add(&s.at, s.lease); return true })
	if len(refs) > 0 {
		c.effect(Reconcile{refs})
	}
}

// disconnected drops all offers: the master has forgotten them.
func (c *Core) disconnected() {
	c.subscribed = false
	c.abandon()
	c.book.reset()
	c.hold = hold{}
}
