package master

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/recording"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

// Recorder says where a master records what its core is told while it leads, so that `meros replay` can go through its decisions again. It costs
// little, and nothing waits for the disk: one that cannot keep up cuts the recording, with a line in the log, and not the master. While a
// master records, its core's clock is the wall clock at the beginning of the reign, moved on by the monotonic one.
//
// The files hold what frameworks and slaves send, commands and environments included, and can be read by their owner alone. Each can be played
// without the ones before it, by the same build of the program.
type Recorder struct {
	// Dir is the folder for the files, of this master alone; it is made if it is not there. Defaults to "", which records nothing.
	Dir string
	// MaxBytes is the size of one file, about; a file may be twice as large as the state that it begins with. Defaults to 64 MiB.
	MaxBytes int64
	// MaxFiles is how many files are kept; the oldest are removed. Defaults to 16.
	MaxFiles int
}

// minRecordBytes is the smallest MaxBytes that is not a mistake.
const minRecordBytes = 64 << 10

func (c Recorder) validate() error {
	bad := func(field string, value any, allowed string) error {
		return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("master: Config.Recorder.%s %v: %s", field, value, allowed))
	}
	switch {
	case c.Dir == "" && (c.MaxBytes != 0 || c.MaxFiles != 0):
		return bad("Dir", `""`, "is required when MaxBytes or MaxFiles is set")
	case c.MaxBytes != 0 && c.MaxBytes < minRecordBytes:
		return bad("MaxBytes", c.MaxBytes, fmt.Sprintf("must be at least %d, or 0 for the default", minRecordBytes))
	case c.MaxFiles < 0:
		return bad("MaxFiles", c.MaxFiles, "must not be negative")
	}
	return nil
}

// clock returns the reign's clock: one whose times can be recorded, if they are to be.
func (m *Master) clock() func() time.Time {
	if m.cfg.Recorder.Dir == "" {
		return time.Now
	}
	return recording.Clock()
}

// record begins the recording of a reign. A master that cannot record leads all the same.
func (r *reign) record(now time.Time) {
	c := r.m.cfg.Recorder
	if c.Dir == "" {
		return
	}
	rec, err := recording.Start(recording.Config{Dir: c.Dir, MaxBytes: c.MaxBytes, MaxFiles: c.MaxFiles, Logger: r.log}, now, r.core)
	if err != nil {
		r.log.Error("nothing is recorded in this reign", "err", err)
		return
	}
	r.recorder = rec
}

// recorded steps the core between what the recorder wants to know of it.
func (r *reign) recorded(now time.Time, ev mastercore.Event, out []mastercore.Effect) []mastercore.Effect {
	n := len(out)
	if e, ok := ev.(*encoded); ok {
		ev, r.frame = e.Event, e
	}
	if e := r.frame; e != nil {
		i := e.take()
		r.recorder.Message(now, &e.frame, i)
		if i == e.frame.Last {
			r.frame = nil
			transport.ReleaseEncoded(e.frame.Bytes)
		}
	} else {
		r.recorder.Event(now, ev)
	}
	out = r.core.Step(now, ev, out)
	r.recorder.Effects(out[n:])
	return out
}

// encoded is the first of some events that came in one frame and are stepped one after the other, with that frame, so that to record them costs
// no more than a copy. The others are queued with it.
type encoded struct {
	mastercore.Event
	frame   recording.Frame
	next    int   // message of the frame, unless it is skipped
	skipped []int // messages that are no events, in order
}

// encoded is the first event of the frame at hand; message i is.
func (c *conn) encoded(first mastercore.Event, i int) *encoded {
	return &encoded{Event: first, next: i, frame: recording.Frame{Conn: c.id, Principal: c.principal, Bytes: c.t.Encoded(), Last: i}}
}

// add says that message i of the frame is the next event.
func (e *encoded) add(i int) {
	for e.frame.Last++; e.frame.Last < i; e.frame.Last++ {
		e.skipped = append(e.skipped, e.frame.Last)
	}
}

// take returns which message the next event is.
func (e *encoded) take() int {
	for len(e.skipped) > 0 && e.skipped[0] == e.next {
		e.next, e.skipped = e.next+1, e.skipped[1:]
	}
	e.next++
	return e.next - 1
}

// plain is the event as the core knows it.
func plain(ev mastercore.Event) mastercore.Event {
	if e, ok := ev.(*encoded); ok {
		return e.Event
	}
	return ev
}

func (r *reign) endRecord(err error) {
	if r.recorder == nil {
		return
	}
	why := "the reign is over"
	if err != nil {
		why = err.Error()
	}
	r.recorder.Close(why)
}
