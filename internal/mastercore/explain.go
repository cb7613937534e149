package mastercore

import (
	"errors"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// Explain says why a framework is offered nothing in a role of a slave, or that it will be; an empty role or slave stands for all. It changes
// nothing, and is called where Step is called. It fails if the framework or the slave takes no part in this reign, or the allocator cannot tell.
func (c *Core) Explain(framework offer.FrameworkID, role string, slave offer.SlaveID) (allocator.Explanation, error) {
	a, ok := c.cfg.Allocator.(interface {
		Explain(now time.Time, framework offer.FrameworkID, role string, on offer.SlaveID) (allocator.Explanation, error)
	})
	if !ok {
		return allocator.Explanation{}, errors.New("the allocator does not explain its decisions")
	}
	return a.Explain(c.now, framework, role, slave)
}
