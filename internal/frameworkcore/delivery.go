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
	task    *known     // of an update, if it is known
	keep    bool       // it answers the user's own call: never dropped
}

// deliveries wait for the handler, in order. A bounded number is in the shell's hands at once, so a slow handler slows only itself.
type deliveries struct {
	seq         uint64 // of the last one that was handed over
	queue       fifo[delivery]
	outstanding fifo[delivery] // handed over, up to seq; those that are answered have no message any more
	open        int            // of these, without an answer
	updates     map[offer.UUID]stage
	ring        []offer.UUID // the updates taken over lately, in order
	next        int
}

// A stage is how far an update has come that was not seen for the first time.
type stage uint8

const (
	onItsWay stage = iota + 1 // queued or in the handler's hands
	takenOver
)

func (d *deliveries) init() {
	d.updates = map[offer.UUID]stage{}
}

// took remembers that an update which was on its way was taken over.
func (d *deliveries) took(u offer.UUID, size int) {
	if len(d.ring) < size {
		d.ring = append(d.ring, u)
	} else {
		delete(d.updates, d.ring[d.next])
		d.ring[d.next] = u
		d.next = (d.next + 1) % size
	}
	d.updates[u] = takenOver
}

// full reports whether what can come again is to be turned away.
func (c *Core) full() bool { return c.deliver.queue.len() >= c.cfg.MaxQueued }

// push queues a message for the handler. What is told only once is dropped when the queue is full; a rescission and the news that the
// master is lost are always kept, since there are never more of them than of what they take back. It reports whether there was room.
func (c *Core) push(d delivery) bool {
	if c.full() && !d.keep {
		switch d.message.(type) {
		case *message.Rescind, *message.Leader, *message.Subscribed:
		default:
			c.note("delivery dropped", "", offer.ReasonSlowConsumer, "the handler is too slow")
			return false
		}
	}
	if !d.uuid.IsZero() {
		c.deliver.updates[d.uuid] = onItsWay
	}
	c.deliver.queue.push(d)
	return true
}

// handOver gives the shell as many deliveries as it may hold.
func (c *Core) handOver() {
	d := &c.deliver
	for d.queue.len() > 0 && d.open < c.cfg.MaxOutstanding && !c.ended && !c.ending.asked {
		d.seq++
		d.open++
		next := d.queue.pop()
		d.outstanding.push(next)
		c.emit(Deliver{Seq: d.seq, Message: next.message})
	}
}

// answered takes an outstanding delivery off; one without a message if there is none. Answers come in order, as a rule.
func (d *deliveries) answered(seq uint64) (out delivery) {
	last := uint64(d.outstanding.len())
	if seq > d.seq || d.seq-seq >= last {
		return delivery{}
	}
	at := d.outstanding.at(int(last - 1 - (d.seq - seq)))
	if at.message == nil {
		return delivery{}
	}
	out, *at = *at, delivery{}
	d.open--
	for d.outstanding.len() > 0 && d.outstanding.at(0).message == nil {
		d.outstanding.pop()
	}
	return out
}

// handled follows the handler's word. An update that it took over is acknowledged; one that it did not will be repeated by its slave.
func (c *Core) handled(ev Handled) {
	d := c.deliver.answered(ev.Seq)
	if !ev.Ok && !d.uuid.IsZero() {
		delete(c.deliver.updates, d.uuid)
	}
	switch m := d.message.(type) {
	case *message.Update:
		c.updateHandled(m.Status, d.task, ev.Ok)
	case *message.OperationUpdate:
		if ev.Ok && !d.uuid.IsZero() {
			c.deliver.took(d.uuid, c.cfg.Window)
			c.acknowledgeOperation(&m.Status)
		}
	}
}
