package mastercore

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// outstanding is an offer that is not answered yet. It does not change once made.
type outstanding struct {
	number    uint64
	id        offer.OfferID
	framework uint32
	slave     uint32
	role      string
	resources resource.Resources
	expires   moment // zero: never
}

func (c *Core) offerID(n uint64) offer.OfferID {
	return offer.OfferID("o-" + utoa(c.cfg.Reign) + "-" + utoa(n))
}

// offerOf finds an outstanding offer. Ids of other reigns are not found, so an offer of a deposed leader cannot be used.
func (c *Core) offerOf(id offer.OfferID) *outstanding {
	reign, number, ok := strings.Cut(strings.TrimPrefix(string(id), "o-"), "-")
	if !ok || len(number) > 20 || reign != utoa(c.cfg.Reign) {
		return nil
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil
	}
	o, _ := c.offers.Get(n)
	if o == nil || o.id != id {
		return nil
	}
	return o
}

// allocate asks the allocator for what is to be offered now, and offers it.
func (c *Core) allocate() {
	c.checkQuotaHold()
	c.tellReturned()
	due := c.cfg.Allocator.Deadline()
	if due.IsZero() || due.After(c.now) {
		return
	}
	c.allotments = c.cfg.Allocator.Run(c.now, c.allotments[:0])
	if len(c.allotments) == 0 {
		return
	}
	var order []uint32
	batches := map[uint32][]offer.Offer{} // looked up by order, never ranged over
	for i := range c.allotments {
		a := &c.allotments[i]
		fn, f, ok := c.frameworkOf(a.Framework)
		sn, s, known := c.slaveOf(a.Slave)
		if !ok || !known || f.conn == 0 || !s.connected() || s.inactive || len(a.Resources) == 0 {
			c.answered(a.Framework, a.Role, a.Slave)
			c.apply(allocator.Recovered{Allotment: *a, Refuse: time.Second})
			continue
		}
		if len(f.offers) >= c.cfg.MaxOffers {
			c.note(Note{Event: "offer withheld", Framework: a.Framework, Slave: a.Slave, Reason: offer.ReasonLimitReached})
			c.answered(a.Framework, a.Role, a.Slave)
			c.apply(allocator.Recovered{Allotment: *a, Refuse: offer.DefaultRefuse})
			continue
		}
		if batches[fn] == nil {
			order = append(order, fn)
		}
		batches[fn] = append(batches[fn], c.makeOffer(fn, f, sn, s, a))
	}
	clear(c.allotments)
	const perMessage = 200 // keeps a message well below the frame limit
	for _, fn := range order {
		f := c.frameworks.mut(fn)
		for part := range slices.Chunk(batches[fn], perMessage) {
			c.toFramework(f, &message.Offers{Offers: part})
		}
	}
}

func (c *Core) makeOffer(fn uint32, f *framework, sn uint32, s *slave, a *allocator.Allotment) offer.Offer {
	c.nextOffer++
	o := &outstanding{number: c.nextOffer, id: c.offerID(c.nextOffer), framework: fn, slave: sn, role: a.Role, resources: a.Resources}
	if c.cfg.OfferTimeout > 0 {
		o.expires = c.in(c.cfg.OfferTimeout)
	}
	c.offers.Set(o.number, o)
	f.offers = append(f.offers, o.number)
	s.offers = append(s.offers, o.number)
	var executors []offer.ExecutorID
	for i := range s.executors {
		if s.executors[i].framework == fn {
			executors = append(executors, s.executors[i].id)
		}
	}
	return offer.Offer{ID: o.id, FrameworkID: f.info.ID, SlaveID: s.info.ID, Hostname: s.info.Hostname, Address: s.info.Address, Role: a.Role,
		Resources: a.Resources, Attributes: s.info.Attributes, Domain: s.info.Domain, Executors: executors}
}

// takeOffer removes an offer from the book, and tells the allocator. What becomes of its resources is the caller's business.
func (c *Core) takeOffer(o *outstanding) {
	c.offers.Delete(o.number)
	f, s := c.frameworks.mut(o.framework), c.slaves.mut(o.slave)
	c.answered(f.info.ID, o.role, s.info.ID)
	f.offers = drop(f.offers, o.number)
	s.offers = drop(s.offers, o.number)
}

// answered tells the allocator that an offer is not outstanding any more.
func (c *Core) answered(framework offer.FrameworkID, role string, slave offer.SlaveID) {
	c.apply(allocator.Answered{Framework: framework, Role: role, Slave: slave})
}

// drop removes one number; the lists are short, and offers are mostly answered oldest first.
func drop(list []uint64, n uint64) []uint64 {
	if i := slices.Index(list, n); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// giveBack removes an offer and returns its resources.
func (c *Core) giveBack(o *outstanding, refuse time.Duration) {
	c.takeOffer(o)
	c.recover(c.slaves.mut(o.slave), o.framework, o.role, o.resources, refuse)
}

// rescind gives offers back and tells their frameworks, one message each.
func (c *Core) rescind(numbers []uint64, reason offer.Reason) {
	var order []uint32
	ids := map[uint32][]offer.OfferID{} // looked up by order, never ranged over
	for _, n := range slices.Clone(numbers) {
		o, ok := c.offers.Get(n)
		if !ok {
			continue
		}
		if ids[o.framework] == nil {
			order = append(order, o.framework)
		}
		ids[o.framework] = append(ids[o.framework], o.id)
		c.giveBack(o, 0)
	}
	for _, fn := range order {
		if f := c.frameworks.mut(fn); f.conn != 0 {
			c.toFramework(f, &message.Rescind{Offers: ids[fn]})
			c.note(Note{Event: "offers rescinded", Framework: f.info.ID, Reason: reason})
		}
	}
}

func (c *Core) rescindSlave(s *slave) {
	if len(s.offers) > 0 {
		c.rescind(s.offers, offer.ReasonNone)
	}
}

// rescindRole rescinds what is offered to a role or one below it, and reports whether anything was.
func (c *Core) rescindRole(role string) bool {
	var numbers []uint64
	c.offers.Scan(func(n uint64, o *outstanding) bool {
		if o.role == role || resource.IsDescendant(o.role, role) {
			numbers = append(numbers, n)
		}
		return true
	})
	c.rescind(numbers, offer.ReasonNone)
	return len(numbers) > 0
}

// rescindRoles rescinds what is offered to a framework in roles that it has left.
func (c *Core) rescindRoles(f *framework) {
	var numbers []uint64
	for _, n := range f.offers {
		if o, _ := c.offers.Get(n); !slices.Contains(f.info.Roles, o.role) {
			numbers = append(numbers, n)
		}
	}
	c.rescind(numbers, offer.ReasonNone)
}

// returnOffers takes all offers of a framework back without a word: its connection is gone, or a new one knows nothing of them.
func (c *Core) returnOffers(f *framework) {
	numbers := f.offers
	f.offers = nil
	for _, n := range numbers {
		if o, ok := c.offers.Get(n); ok {
			c.giveBack(o, 0)
		}
	}
}

// expireOffers rescinds offers that were not answered in time. All have the same time, so the oldest expire first.
func (c *Core) expireOffers() {
	var late []uint64
	c.offers.Scan(func(n uint64, o *outstanding) bool {
		if o.expires == 0 || o.expires > c.tick || len(late) >= maxTimers {
			return false
		}
		late = append(late, n)
		return true
	})
	if len(late) > 0 {
		c.rescind(late, offer.ReasonOfferTimeout)
	}
}

// decline gives offers back with a filter. Unknown ones are ignored: they were rescinded on the way.
func (c *Core) decline(n uint32, f *framework, m *message.Decline) {
	foreign := 0
	for _, id := range m.Offers {
		o := c.offerOf(id)
		switch {
		case o == nil:
		case o.framework != n:
			foreign++
		default:
			c.giveBack(o, max(m.Filter.Duration(), c.cfg.MinRefuse))
		}
	}
	if foreign > 0 {
		c.refuse(f, offer.ReasonInvalidOffers, "decline: "+strconv.Itoa(foreign)+" offers are another framework's")
	}
}
