package recording

import (
	"github.com/meros-project/meros/internal/image"
	"github.com/meros-project/meros/internal/mastercore"
)

// digest folds effects into a running sum. The fields are scratch, so that hashing needs no memory.
type digest struct {
	hasher  *image.Hasher
	send    mastercore.Send
	close   mastercore.Close
	propose mastercore.Propose
	answer  mastercore.Answer
	resign  mastercore.Resign
	note    mastercore.Note
}

func newDigest() *digest { return &digest{hasher: image.NewHasher()} }

func (d *digest) reset() { d.hasher.Reset() }

// add folds effects in and returns the sum of all so far, which is never zero.
func (d *digest) add(effects []mastercore.Effect) uint32 {
	for _, e := range effects {
		switch e := e.(type) {
		case mastercore.Send:
			d.send = e
			image.Add(d.hasher, &d.send)
			d.send = mastercore.Send{}
		case mastercore.Close:
			d.close = e
			image.Add(d.hasher, &d.close)
		case mastercore.Propose:
			d.propose = e
			image.Add(d.hasher, &d.propose)
		case mastercore.Answer:
			d.answer = e
			image.Add(d.hasher, &d.answer)
		case mastercore.Resign:
			d.resign = e
			image.Add(d.hasher, &d.resign)
		case mastercore.Note:
			d.note = e
			image.Add(d.hasher, &d.note)
		}
	}
	sum := d.hasher.Sum()
	return uint32(sum^sum>>32) | 1
}
