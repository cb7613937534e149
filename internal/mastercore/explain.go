package mastercore

import (
	"fmt"
	"slices"
	"time"

	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// maxOfferNotes bounds the outstanding offers that a Why names.
const maxOfferNotes = 5

// A Why is the allocator's Explanation and, in sentences, what only the core knows.
type Why struct {
	allocator.Explanation
	Notes []string
}

// String says all of it, one line for each cause.
func (w Why) String() string {
	text := w.Explanation.String()
	for _, note := range w.Notes {
		text += note + "\n"
	}
	return text
}

// explainer is an allocator that can say why.
type explainer interface {
	Explain(now time.Time, framework offer.FrameworkID, role string, slave offer.SlaveID) (allocator.Explanation, error)
}

// Explain says why a framework is offered nothing: in a role, or in all of its roles if that is empty, and on a slave, or on all slaves if that
// is empty; as of now, or of the last Step if that is later. It is called where Step is called, but it is no event: it changes nothing. What it
// costs is bounded as the allocator says.
func (c *Core) Explain(now time.Time, id offer.FrameworkID, role string, on offer.SlaveID) (Why, *offer.Refusal) {
	if now.Before(c.now) {
		now = c.now
	}
	a, ok := c.cfg.Allocator.(explainer)
	if !ok {
		return Why{}, offer.Refuse(offer.ReasonUnsupported, "this allocator does not explain itself")
	}
	n, known := registry.FrameworkNumber(id)
	var f *framework
	if known && n <= uint64(c.maxFramework) {
		f = c.frameworks.get(uint32(n))
	}
	if f == nil || f.state != frameworkLive {
		return Why{}, offer.Refuse(offer.ReasonFrameworkUnknown, "framework "+short(string(id))+": is not known, or was removed")
	}
	if bad := c.explainable(on); bad != nil {
		return Why{}, bad
	}
	e, err := a.Explain(now, id, role, on)
	if err != nil { // it has not been here in this reign, and nothing of it has
		return Why{}, offer.Refuse(offer.ReasonFrameworkUnknown, "framework "+string(id)+": has not subscribed to this leader yet")
	}
	why := Why{Explanation: e}
	for _, held := range f.held {
		if role == "" || role == held {
			if !slices.Contains(f.suppressed, held) { // it is the core that has suppressed it
				why.Findings = slices.DeleteFunc(why.Findings, func(g allocator.Finding) bool {
					return g.Cause == allocator.SuppressedRole && g.Role == held
				})
			}
			why.Notes = append(why.Notes, fmt.Sprintf("%s in %s: has a quota, and waits until enough slaves are back after the election: %d of %d are",
				id, held, c.counts.atStart-c.counts.recovering, c.counts.atStart))
		}
	}
	if offers := c.offersTo(f, role, on); len(offers) > 0 {
		why.Notes = append(why.Notes, fmt.Sprintf("%s: has outstanding offers: %s", id, listed(offers)))
	}
	return why, nil
}

// explainable refuses a slave that takes no part in anything, and says why.
func (c *Core) explainable(id offer.SlaveID) *offer.Refusal {
	if id == "" {
		return nil
	}
	n, known := registry.SlaveNumber(id)
	var s *slave
	if known && n <= uint64(c.maxSlave) {
		s = c.slaves.get(uint32(n))
	}
	switch {
	case s == nil || s.state == slaveAbsent:
		return offer.Refuse(offer.ReasonUnknownID, "slave "+short(string(id))+": is not known")
	case s.state == slaveGone:
		return offer.Refuse(offer.ReasonSlaveGone, "slave "+string(id)+": is gone")
	case s.state == slaveUnreachable:
		return offer.Refuse(offer.ReasonSlaveDisconnected, "slave "+string(id)+": is unreachable, and nothing of it is offered until it is back")
	case !s.allocated:
		return offer.Refuse(offer.ReasonSlaveDisconnected, "slave "+string(id)+": has not come back to this leader yet")
	}
	return nil
}

// offersTo returns the ids of the outstanding offers of a framework, in a role and of a slave or of all.
func (c *Core) offersTo(f *framework, role string, slave offer.SlaveID) (ids []offer.OfferID) {
	for _, n := range f.offers {
		o, ok := c.offers.Get(n)
		if ok && (role == "" || o.role == role) && (slave == "" || c.slaves.get(o.slave).info.ID == slave) {
			ids = append(ids, o.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// listed names the first of some ids, and counts the others.
func listed(ids []offer.OfferID) string {
	text := ""
	for i, id := range ids {
		switch {
		case i == maxOfferNotes:
			return fmt.Sprintf("%s and %d more", text, len(ids)-i)
		case i > 0:
			text += ", "
		}
		text += string(id)
	}
	return text
}
