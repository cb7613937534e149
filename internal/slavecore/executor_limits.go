package slavecore

import (
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A headroom is how far the tasks of an executor may go above what they have requested of one resource, together.
type headroom struct {
	above   resource.Scalar // of those with a bound
	endless int             // tasks without a bound
}

// limited are the resources that can have limits, in the order in which they are told.
var limited = [...]string{resource.CPUs, resource.Mem}

// noBound is an amount that no machine has. What is above it does not bound, so that the sums do not run over.
const noBound resource.Scalar = 1 << 40

// raise counts the limits of a task in, or with by=-1 out again.
func (e *executor) raise(t *offer.Task, by int) {
	for i, name := range limited {
		for _, l := range t.Limits {
			switch {
			case l.Name != name:
			case l.Amount == offer.NoLimit, l.Amount > noBound:
				e.headroom[i].endless += by
			default:
				e.headroom[i].above += resource.Scalar(by) * max(l.Amount-t.Resources.Scalar(name), 0)
			}
		}
	}
}

// limits are the bounds of the executor's container: all that its tasks may use together, and without a bound if one of them has none.
func (e *executor) limits() []offer.Limit {
	var limits []offer.Limit
	for i, name := range limited {
		switch h := e.headroom[i]; {
		case h.endless > 0:
			limits = append(limits, offer.Limit{Name: name, Amount: offer.NoLimit})
		case h.above > 0:
			limits = append(limits, offer.Limit{Name: name, Amount: e.total.Scalar(name) + h.above})
		}
	}
	return limits
}
