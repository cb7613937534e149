package sim

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/wire"
)

// carry takes an envelope over the wire: it is encoded for the trace always, and decoded again for the seeds that say so.
func (w *World) carry(e message.Envelope) message.Envelope {
	var buf []byte // what is decoded may refer to it
	if !w.cfg.Wire {
		buf = w.buf[:0]
	}
	b, at := wire.OpenBatch(buf, e.Cluster, e.Reign)
	b, err := wire.AppendMessage(b, e.Message)
	if err != nil {
		w.violate("wire", "message of kind %d: %v", e.Message.Kind(), err)
		return e
	}
	wire.CloseBatch(b, at, 1)
	w.trace.mix(b)
	w.sent = b
	if !w.cfg.Wire {
		w.buf = b
		return e
	}
	out, err := wire.DecodeBatch(nil, b)
	if err != nil || len(out) != 1 {
		w.violate("wire", "message of kind %d came back as %d: %v", e.Message.Kind(), len(out), err)
		return e
	}
	return out[0]
}

func (w *World) carryEntry(e registry.Entry) registry.Entry {
	b, err := wire.AppendEntry(nil, e)
	if err != nil {
		w.violate("wire", "entry: %v", err)
		return e
	}
	w.trace.mix(b)
	if !w.cfg.Wire {
		return e
	}
	out, err := wire.DecodeEntry(b)
	if err != nil {
		w.violate("wire", "entry: %v", err)
		return e
	}
	return out
}

func (w *World) carryJournal(records []slavecore.Record) []slavecore.Record {
	if !w.cfg.Wire {
		return append([]slavecore.Record(nil), records...)
	}
	out := make([]slavecore.Record, len(records))
	for i, r := range records {
		b, err := wire.AppendRecord(nil, r)
		if err == nil {
			out[i], err = wire.DecodeRecord(b)
		}
		if err != nil {
			w.violate("wire", "journal record %d: %v", i, err)
			return records
		}
	}
	return out
}
