package frameworkcore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

var zeroTime time.Time

// A delivery is one message for the user's handler.
type delivery struct {
	message message.Message
	uuid    offer.UUID // of an update to be acknowledged
	keep    bool       // it answers the user's own call: never dropped
}

// deliveries wait for the handler, in order. A bounded number is in the shell's hands at once, so a slow handler slows only itself.
type deliveries struct {
	seq         uint64
	queue       []delivery
	outstanding map[uint64]delivery
	pending     map[offer.UUID]bool // queued or in the handler's hands
	window      map[offer.UUID]bool // taken over lately
	ring        []offer.UUID        // the window in order
	next        int
}

func (d *deliveries) init() {
	d.outstanding = map[uint64]delivery{}
	d.pending = map[offer.UUID]bool{}
	d.window = map[offer.UUID]bool{}
}

// took remembers that an update was taken over.
func (d *deliveries) took(u offer.UUID, size int) {
	if d.window[u] {
		return
	}
	if len(d.ring) < size {
		d.ring = append(d.ring, u)
	} else {
		delete(d.window, d.ring[d.next])
		d.ring[d.next] = u
		d.next = (d.next + 1) % size
	}
	d.window[u] = true
}

// full reports whether what can come again is to be turned away.
func (c *Core) full() bool { return len(c.deliver.queue) >= c.cfg.MaxQueued }

// push queues a message for the handler. What is told only once is dropped when the queue is full; a rescission and the news that the
// master is lost are always kept, since there are never more of them than of what they take back.
func (c *Core) push(d delivery) {
	if c.full() && !d.keep {
		switch d.message.(type) {
		case *message.Rescind, *message.Leader, *message.Subscribed:
		default:
			c.note("delivery dropped", "", offer.ReasonSlowConsumer, "the handler is too slow")
			return
		}
	}
	if !d.uuid.IsZero() {
		c.deliver.pending[d.uuid] = true
	}
	c.deliver.queue = append(c.deliver.queue, d)
}

// handOver gives the shell as many deliveries as it may hold.
func (c *Core) handOver() {
	d := &c.deliver
	n := 0
	for n < len(d.queue) && len(d.outstanding) < c.cfg.MaxOutstanding && !c.ended {
		d.seq++
		d.outstanding[d.seq] = d.queue[n]
		c.emit(Deliver{Seq: d.seq, Message: d.queue[n].message})
		d.queue[n] = delivery{}
		n++
	}
	if n == len(d.queue) {
		d.queue = d.queue[:0]
		return
	}
	d.queue = d.queue[n:]
}

// handled follows the handler's word. An update that it took over is acknowledged; one that it did not will be repeated by its slave.
func (c *Core) handled(ev Handled) {
	d, ok := c.deliver.outstanding[ev.Seq]
	if !ok {
		return
	}
	delete(c.deliver.outstanding, ev.Seq)
	delete(c.deliver.pending, d.uuid)
	switch m := d.message.(type) {
	case *message.Update:
		c.updateHandled(&m.Status, ev.Ok)
	case *message.OperationUpdate:
		if ev.Ok && !d.uuid.IsZero() {
			c.deliver.took(d.uuid, c.cfg.Window)
			c.acknowledgeOperation(&m.Status)
		}
	}
}
