package wire

import (
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// AppendRecord appends the encoding of one record of a slave's journal, [kind, [fields...]], to dst.
func AppendRecord(dst []byte, r slavecore.Record) ([]byte, error) {
	w := NewWriter()
	defer w.Close()
	return w.Record(dst, r)
}

// DecodeRecord reads what AppendRecord wrote; b holds nothing else.
func DecodeRecord(b []byte) (slavecore.Record, error) {
	var r slavecore.Record
	if err := read(b, Limits{}, func(c *codec) { c.journalRecord(&r) }); err != nil {
		return nil, err
	}
	return r, nil
}

func (c *codec) journalRecord(r *slavecore.Record) {
	variant(c, "journal record", &journal, func(r slavecore.Record) uint8 { return uint8(r.RecordKind()) }, r)
}

// launchedFor is the framework of a launch: the same, at the same place, for all tasks of one message.
func (c *codec) launchedFor(v **offer.Framework) {
	if c.enc && *v != nil {
		if c.wroteFramework.again(c, *v, 1) {
			return
		}
		from := len(c.out.b)
		c.framework(*v)
		c.wroteFramework.keep(c, *v, 1, from)
		return
	}
	always(c, v, (*codec).framework)
}

func line[T any](n int, f func(*codec, *T)) kind[slavecore.Record] {
	return of[slavecore.Record](fields(n, f))
}

// journal has the fields of each kind of journal record, in an order that only ever grows at the end.
var journal = [256]kind[slavecore.Record]{
	slavecore.RecordRegistered: line(2, func(c *codec, v *slavecore.Registered) {
		text(c, &v.Cluster)
		c.slave(&v.Slave)
	}),
	slavecore.RecordReign: line(1, func(c *codec, v *slavecore.Reign) { number(c, &v.Reign) }),
	slavecore.RecordLaunched: line(8, func(c *codec, v *slavecore.Launched) {
		c.launchedFor(&v.Framework)
		text(c, &v.Role)
		always(c, &v.Task, (*codec).task)
		text(c, &v.Container)
		number(c, &v.Group)
		text(c, &v.Executor)
		c.moment(&v.At)
		number(c, &v.Members)
	}),
	slavecore.RecordUpdated: line(2, func(c *codec, v *slavecore.Updated) {
		text(c, &v.Framework)
		at := len(c.out.b)
		always(c, &v.Status, (*codec).status)
		if c.enc && v.Encoded != nil && c.err == nil {
			*v.Encoded = string(c.out.b[at:])
		}
	}),
	slavecore.RecordAcked: line(3, func(c *codec, v *slavecore.Acked) {
		text(c, &v.Framework)
		text(c, &v.Task)
		c.uuid(&v.UUID)
	}),
	slavecore.RecordResources: line(4, func(c *codec, v *slavecore.Resources) {
		c.resources(&v.Total)
		text(c, &v.Framework)
		c.operationStatus(&v.Status)
		c.flag(&v.Acked)
	}),
	slavecore.RecordDraining: line(1, func(c *codec, v *slavecore.Draining) { optional(c, &v.Config, (*codec).drain) }),
	slavecore.RecordExecutorStarted: line(5, func(c *codec, v *slavecore.ExecutorStarted) {
		c.framework(&v.Framework)
		text(c, &v.Role)
		c.executor(&v.Executor)
		text(c, &v.Container)
		text(c, &v.Token)
	}),
	slavecore.RecordExecutorEnded: line(2, func(c *codec, v *slavecore.ExecutorEnded) {
		text(c, &v.Framework)
		text(c, &v.Executor)
	}),
	slavecore.RecordBoot: line(1, func(c *codec, v *slavecore.Boot) { text(c, &v.ID) }),
	slavecore.RecordKilled: line(4, func(c *codec, v *slavecore.Killed) {
		text(c, &v.Framework)
		text(c, &v.Task)
		optional(c, &v.Policy, (*codec).killPolicy)
		number(c, &v.Reason)
	}),
}
