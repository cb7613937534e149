package core

import (
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// maxOffers bounds what is gathered; what comes beyond it is declined.
const maxOffers = 200_000

// A book is the offers at hand, one slot for each slave and role.
type book struct {
	slots map[slotKey]*slot
	list  []*slot // in the order in which they came
	by    map[offer.OfferID]*slot
	due   time.Time // when they are matched; zero: not yet, or nothing to match
}

type slotKey struct {
	slave offer.SlaveID
	role  string
}

// A slot is what is offered of one slave in one role, and what is to be launched there.
type slot struct {
	slotKey
	offers     []offer.OfferID
	host       string
	attributes []offer.Attribute
	domain     offer.Domain
	executors  []offer.ExecutorID
	left       resource.Resources
	free       vector // of left
	launches   []launch
	dead       bool // rescinded while it is matched
	kept       bool // for a group that lacks a part

	values  []value // of the run's fields
	places  []place // in the run's trees
	score   int64   // in the run's orders
	ordered bool    // it is in them
}

// A launch is a task with what it gets.
type launch struct {
	m     *member
	found resource.Resources
	ports resource.Ranges
}

func (b *book) reset() {
	b.slots, b.list, b.by, b.due = map[slotKey]*slot{}, nil, map[offer.OfferID]*slot{}, time.Time{}
}

// offered gathers offers; those that nobody can use are declined at once.
func (c *Core) offered(offers []offer.Offer) {
	var unwanted []offer.OfferID
	var role *role
	for i := range offers {
		o := &offers[i]
		r := c.roles[o.Role]
		if r == nil || r.waiting == 0 || outOfService(o.Unavailability, c.now) || len(c.book.by) >= maxOffers || c.book.by[o.ID] != nil {
			if r != role || r == nil {
				c.decline(role, unwanted)
				unwanted, role = nil, r
			}
			unwanted = append(unwanted, o.ID)
			continue
		}
		c.enter(o)
	}
	c.decline(role, unwanted)
	if len(c.book.list) > 0 && c.book.due.IsZero() && c.hasFresh() {
		c.book.due = c.now.Add(max(c.cfg.Gather, 0))
	}
}

// hasFresh reports whether there are offers that no run has seen.
func (c *Core) hasFresh() bool {
	return slices.ContainsFunc(c.book.list, func(s *slot) bool { return !s.kept })
}

func (c *Core) decline(r *role, offers []offer.OfferID) {
	if len(offers) == 0 {
		return
	}
	refuse := idleRefuse
	if r != nil {
		refuse = c.refuseFor(r)
	}
	c.effect(Decline{offers, refuse})
}

// outOfService reports whether a slave's planned outage has begun and is not over.
func outOfService(u *offer.Unavailability, now time.Time) bool {
	return u != nil && !u.Start.After(now) && (u.Duration == 0 || u.Start.Add(u.Duration).After(now))
}

// enter adds an offer to the slot of its slave and role.
func (c *Core) enter(o *offer.Offer) {
	key := slotKey{o.SlaveID, o.Role}
	s := c.book.slots[key]
	if s == nil || c.run != nil {
		// While a run is under way its slots are left as they are: a slave may have a second one until it is over.
		s = &slot{slotKey: key, host: o.Hostname, attributes: o.Attributes, domain: o.Domain}
		c.book.slots[key] = s
		c.book.list = append(c.book.list, s)
	}
	s.offers = append(s.offers, o.ID)
	s.executors = o.Executors
	s.left = s.left.Add(o.Resources)
	s.kept = false
	c.book.by[o.ID] = s
}

// rescinded takes offers out of the book. What else is in their slots is still good.
func (c *Core) rescinded(offers []offer.OfferID) {
	for _, id := range offers {
		s := c.book.by[id]
		if s == nil {
			continue
		}
		// What of the slot was this offer's is not kept, so that all of it is given back; it will be offered anew.
		s.dead = true
		for _, other := range s.offers {
			delete(c.book.by, other)
		}
		rest := slices.DeleteFunc(slices.Clone(s.offers), func(o offer.OfferID) bool { return slices.Contains(offers, o) })
		if len(rest) > 0 {
			c.effect(Decline{rest, offer.NoFilter})
		}
		if c.run == nil {
			c.book.remove(s)
		} else {
			c.run.lose(c, s)
		}
	}
}

func (b *book) remove(s *slot) {
	if b.slots[s.slotKey] == s {
		delete(b.slots, s.slotKey)
	}
	for _, id := range s.offers {
		delete(b.by, id)
	}
	b.list = slices.DeleteFunc(b.list, func(x *slot) bool { return x == s })
	if len(b.list) == 0 {
		b.due = time.Time{}
	}
}
