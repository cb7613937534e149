package recording

import (
	"encoding/binary"
	"math/bits"

	"github.com/meros-project/meros/internal/image"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// digest folds effects into a running sum. Of the messages that make up most of the traffic it takes who is told what about which task, and not
// what they pass on as it came (a task's command, a status's message): that is in the events. All else is folded in whole. The fields are
// scratch, so that hashing needs no memory.
type digest struct {
	*image.Hasher
	send     mastercore.Send
	close    mastercore.Close
	propose  mastercore.Propose
	answer   mastercore.Answer
	resign   mastercore.Resign
	note     mastercore.Note
	other    mastercore.Effect
	executor *offer.Executor
}

func newDigest() *digest { return &digest{Hasher: image.NewHasher()} }

func (d *digest) reset() { d.Reset() }

// Numbers of effects in a digest.
const (
	digestUpdate = iota + 1
	digestAck
	digestLaunch
	digestPing
	digestSend
	digestClose
	digestPropose
	digestAnswer
	digestResign
	digestNote
	digestOther
)

// add folds effects in and returns the sum of all so far, which is never zero.
func (d *digest) add(effects []mastercore.Effect) uint32 {
	for _, e := range effects {
		switch e := e.(type) {
		case mastercore.Send:
			d.sent(e)
		case mastercore.Close:
			whole(d, digestClose, &d.close, e)
		case mastercore.Propose:
			whole(d, digestPropose, &d.propose, e)
		case mastercore.Answer:
			whole(d, digestAnswer, &d.answer, e)
		case mastercore.Resign:
			whole(d, digestResign, &d.resign, e)
		case mastercore.Note:
			whole(d, digestNote, &d.note, e)
		default:
			whole(d, digestOther, &d.other, e) // slower, and complete
		}
	}
	sum := d.Sum()
	return uint32(sum^sum>>32) | 1
}

// whole folds an effect in by all its fields. What is put in scratch is let go again.
func whole[T any](d *digest, kind uint64, scratch *T, e T) {
	*scratch = e
	d.Word(kind)
	image.Add(d.Hasher, scratch)
	var none T
	*scratch = none
}

func (d *digest) sent(e mastercore.Send) {
	conn := uint64(e.Conn) << 8
	switch m := e.Message.(type) {
	case *message.Update:
		d.Word(conn | digestUpdate | uint64(m.Status.State)<<56 ^ uint64(m.Status.Reason)<<40)
		d.uuid(&m.Status.UUID)
		if m.Status.UUID.IsZero() { // what the master says of its own accord
			d.Text(string(m.Status.TaskID))
		}
	case *message.StatusAck:
		d.Word(conn | digestAck)
		d.uuid(&m.UUID)
	case *message.Launch:
		d.Word(conn | digestLaunch)
		d.Text(string(m.Framework.ID))
		d.Text(m.Role)
		if m.Executor != nil {
			d.executor = m.Executor
			image.Add(d.Hasher, &d.executor)
			d.executor = nil
		}
		d.Word(uint64(len(m.Tasks)))
		for i := range m.Tasks {
			d.Text(string(m.Tasks[i].ID))
			for k := range m.Tasks[i].Resources {
				d.resource(&m.Tasks[i].Resources[k])
			}
		}
	case *message.Ping:
		d.Word(conn | digestPing)
		if m.Connected {
			d.Word(1)
		}
	default:
		whole(d, digestSend, &d.send, e)
	}
}

// resource folds a plain scalar in by its name and amount, and all else in whole.
func (d *digest) resource(e *resource.Resource) {
	d.Text(e.Name)
	d.Word(uint64(e.Scalar))
	if e.Type != resource.ScalarType || len(e.Reservations) > 0 || e.Volume != nil || e.Shared || e.Revocable {
		image.Add(d.Hasher, e)
	}
}

func (d *digest) uuid(u *offer.UUID) {
	d.Word(binary.LittleEndian.Uint64(u[:8]) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(u[8:]), 31))
}
