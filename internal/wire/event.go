package wire

import (
	"fmt"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
)

// AppendEvent appends the encoding of one event of a master's core, [kind, [fields...]], to dst.
func AppendEvent(dst []byte, ev mastercore.Event) ([]byte, error) {
	return write(dst, func(c *codec) {
		p, number := byPointer(ev)
		c.event(&p, number)
	})
}

// DecodeEvent reads what AppendEvent wrote; b holds nothing else.
func DecodeEvent(b []byte) (mastercore.Event, error) {
	var ev mastercore.Event
	if err := read(b, Limits{}, func(c *codec) { c.event(&ev, 0) }); err != nil {
		return nil, err
	}
	return byValue(ev), nil
}

// Kinds of events, which only grow.
const (
	eventReceived = 1 + iota
	eventDisconnected
	eventCommitted
	eventNotCommitted
	eventCalled
	eventTick
)

func (c *codec) event(ev *mastercore.Event, number uint8) {
	variant(c, "event", &events, func(mastercore.Event) uint8 { return number }, ev)
}

// byPointer and byValue turn events, which are values to the core, into what the table of kinds holds, and back. An event that is not known
// is nil, which cannot be written.
func byPointer(ev mastercore.Event) (mastercore.Event, uint8) {
	switch ev := ev.(type) {
	case mastercore.Received:
		return &ev, eventReceived
	case mastercore.Disconnected:
		return &ev, eventDisconnected
	case mastercore.Committed:
		return &ev, eventCommitted
	case mastercore.NotCommitted:
		return &ev, eventNotCommitted
	case mastercore.Called:
		return &ev, eventCalled
	case mastercore.Tick:
		return &ev, eventTick
	}
	return nil, 0
}

func byValue(ev mastercore.Event) mastercore.Event {
	switch ev := ev.(type) {
	case *mastercore.Received:
		return *ev
	case *mastercore.Disconnected:
		return *ev
	case *mastercore.Committed:
		return *ev
	case *mastercore.NotCommitted:
		return *ev
	case *mastercore.Called:
		return *ev
	case *mastercore.Tick:
		return *ev
	}
	panic(fmt.Sprintf("wire: event %T is not known", ev))
}

func event[T any](n int, f func(*codec, *T)) kind[mastercore.Event] {
	return of[mastercore.Event](fields(n, f))
}

// events has the fields of each kind of event, in an order that only ever grows at the end.
var events [256]kind[mastercore.Event]

func init() {
	events = [256]kind[mastercore.Event]{
		eventReceived: event(3, func(c *codec, v *mastercore.Received) {
			number(c, &v.Conn)
			text(c, &v.Principal)
			c.anyMessage(&v.Message)
		}),
		eventDisconnected: event(1, func(c *codec, v *mastercore.Disconnected) { number(c, &v.Conn) }),
		eventCommitted: event(2, func(c *codec, v *mastercore.Committed) {
			number(c, &v.Token)
			list(c, &v.Results, (*codec).result)
		}),
		eventNotCommitted: event(2, func(c *codec, v *mastercore.NotCommitted) {
			number(c, &v.Token)
			c.flag(&v.Unknown)
		}),
		eventCalled: event(3, func(c *codec, v *mastercore.Called) {
			number(c, &v.Token)
			text(c, &v.Principal)
			c.operate(&v.Call)
		}),
		eventTick: of[mastercore.Event](none[mastercore.Tick]),
	}
}

func (c *codec) operate(v *message.Operate) {
	o := c.open(11)
	number(c, &v.Seq)
	number(c, &v.Verb)
	text(c, &v.Slave)
	text(c, &v.Framework)
	c.drain(&v.Drain)
	text(c, &v.Role)
	signed(c, &v.Weight)
	c.quantities(&v.Guarantee)
	c.quantities(&v.Limit)
	c.resources(&v.Resources)
	c.flag(&v.Force)
	c.shut(o)
}

// anyMessage is a message or nil: a core may be handed that, and refuses it.
func (c *codec) anyMessage(m *message.Message) {
	switch {
	case c.enc && *m == nil:
		c.did(c.w.EncodeNil())
	case c.enc || !c.null():
		c.message(m)
	case c.more():
		c.did(c.r.DecodeNil())
	}
}
