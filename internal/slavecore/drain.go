package slavecore

import "github.com/meros-project/meros/offer"

// drain kills every task within the wish's cap, and refuses new ones, until it is told that the drain is over.
func (c *Core) drain(config *offer.Drain) {
	if config != nil {
		d := *config
		config = &d
	}
	if !sameDrain(c.draining, config) {
		c.draining = config
		c.persist(&Draining{Config: config}, then{})
	}
	c.drainTasks()
}

func sameDrain(a, b *offer.Drain) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func (c *Core) drainTasks() {
	if c.draining == nil {
		return
	}
	for f := range c.frameworks.all {
		for t := range f.tasks.all {
			c.killTask(t, c.grace(t, nil), offer.ReasonSlaveDraining, "the slave is draining")
		}
		for e := range f.executors.all {
			c.stopIdle(e)
		}
	}
}

// stopIdle ends an executor of a draining slave that has no task left.
func (c *Core) stopIdle(e *executor) {
	if c.draining != nil && e.tasks.len() == 0 && !e.builtin {
		c.stopExecutor(e, offer.ReasonSlaveDraining)
	}
}
