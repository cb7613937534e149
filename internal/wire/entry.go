package wire

import "github.com/meros-project/meros/internal/registry"

// EntryVersion is the version of log entries. A reader refuses a higher one with ReasonUnsupported, and its node stops: an entry that one
// master applies and another does not would part them for ever.
const EntryVersion = 1

// AppendEntry appends the encoding of a log entry, [version, reign, [[key, [kind, [fields...]]]...]], to dst.
func AppendEntry(dst []byte, e registry.Entry) ([]byte, error) {
	return write(dst, func(c *codec) { c.entry(&e) })
}

// DecodeEntry reads what AppendEntry wrote; b holds nothing else.
func DecodeEntry(b []byte) (registry.Entry, error) {
	var e registry.Entry
	if err := read(b, Limits{}, func(c *codec) { c.entry(&e) }); err != nil {
		return registry.Entry{}, err
	}
	return e, nil
}

func (c *codec) entry(v *registry.Entry) {
	o := c.open(3)
	version := uint32(EntryVersion)
	number(c, &version)
	if version > EntryVersion && c.err == nil {
		c.fail(unsupported("log entry of version %d (known: %d)", version, EntryVersion))
	}
	number(c, &v.Reign)
	list(c, &v.Commands, (*codec).registryCommand)
	c.shut(o)
}

func (c *codec) registryCommand(v *registry.Command) {
	o := c.open(2)
	bytes16(c, &v.Key)
	variant(c, "log command", &ops, func(op registry.Op) uint8 { return uint8(op.OpKind()) }, &v.Op)
	c.shut(o)
}

func op[T any](n int, f func(*codec, *T)) kind[registry.Op] { return of[registry.Op](fields(n, f)) }

// ops has the fields of each kind of command, in an order that only ever grows at the end.
var ops = [256]kind[registry.Op]{
	registry.OpOpen: op(3, func(c *codec, v *registry.Open) {
		text(c, &v.Cluster)
		text(c, &v.Master)
		number(c, &v.Level)
	}),
	registry.OpAdmitSlave:  op(1, func(c *codec, v *registry.AdmitSlave) { c.slave(&v.Slave) }),
	registry.OpUpdateSlave: op(1, func(c *codec, v *registry.UpdateSlave) { c.slave(&v.Slave) }),
	registry.OpMarkUnreachable: op(2, func(c *codec, v *registry.MarkUnreachable) {
		text(c, &v.ID)
		c.moment(&v.At)
	}),
	registry.OpMarkReachable: op(1, func(c *codec, v *registry.MarkReachable) { c.slave(&v.Slave) }),
	registry.OpMarkGone: op(2, func(c *codec, v *registry.MarkGone) {
		text(c, &v.ID)
		c.moment(&v.At)
	}),
	registry.OpRemoveSlave: op(1, func(c *codec, v *registry.RemoveSlave) { text(c, &v.ID) }),
	registry.OpDrainSlave: op(2, func(c *codec, v *registry.DrainSlave) {
		text(c, &v.ID)
		c.drain(&v.Drain)
	}),
	registry.OpSlaveDrained: op(1, func(c *codec, v *registry.SlaveDrained) { text(c, &v.ID) }),
	registry.OpActivateSlave: op(2, func(c *codec, v *registry.ActivateSlave) {
		text(c, &v.ID)
		c.flag(&v.Active)
	}),
	registry.OpAdmitFramework:  op(1, func(c *codec, v *registry.AdmitFramework) { c.framework(&v.Framework) }),
	registry.OpUpdateFramework: op(1, func(c *codec, v *registry.UpdateFramework) { c.framework(&v.Framework) }),
	registry.OpCountDown:       op(1, func(c *codec, v *registry.CountDown) { list(c, &v.Frameworks, (*codec).remaining) }),
	registry.OpRemoveFramework: op(1, func(c *codec, v *registry.RemoveFramework) { text(c, &v.ID) }),
	registry.OpSetRole: op(4, func(c *codec, v *registry.SetRole) {
		text(c, &v.Role)
		optional(c, &v.Weight, (*codec).scalar)
		optional(c, &v.Guarantee, (*codec).quantities)
		optional(c, &v.Limit, (*codec).quantities)
	}),
	registry.OpConfirm: op(0, func(*codec, *registry.Confirm) {}),
	registry.OpAddToken: op(3, func(c *codec, v *registry.AddToken) {
		bytes16(c, &v.Hash)
		c.moment(&v.Expires)
		c.moment(&v.At)
	}),
	registry.OpUseToken: op(3, func(c *codec, v *registry.UseToken) {
		bytes16(c, &v.Hash)
		text(c, &v.Member)
		c.moment(&v.At)
	}),
	registry.OpPruneSlaves: op(1, func(c *codec, v *registry.PruneSlaves) { list(c, &v.IDs, text) }),
}

func (c *codec) remaining(v *registry.Remaining) {
	o := c.open(2)
	text(c, &v.ID)
	signed(c, &v.Remaining)
	c.shut(o)
}
