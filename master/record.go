package master

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/recording"
	"github.com/meros-project/meros/internal/wire"
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
		ev = e.Event
		r.recorder.Encoded(now, e.bytes)
	} else {
		r.recorder.Event(now, ev)
	}
	out = r.core.Step(now, ev, out)
	r.recorder.Effects(out[n:])
	return out
}

// encoded is an event of which the encoding came with it, so that to record it costs no more than a copy.
type encoded struct {
	mastercore.Event
	bytes []byte
}

// plain is the event as the core knows it.
func plain(ev mastercore.Event) mastercore.Event {
	if e, ok := ev.(*encoded); ok {
		return e.Event
	}
	return ev
}

// encodings are the events of one batch of messages, in one piece of memory.
type encodings struct {
	head   []byte
	events []encoded
	bytes  []byte
}

func newEncodings(c *conn, n int) *encodings {
	if c.head == nil {
		c.head = wire.AppendReceived(nil, c.id, c.principal, nil)
	}
	return &encodings{head: c.head, events: make([]encoded, 0, n)}
}

func (e *encodings) with(ev mastercore.Event, message []byte) mastercore.Event {
	if need := len(e.head) + len(message); cap(e.bytes)-len(e.bytes) < need {
		e.bytes = make([]byte, 0, max(need, min((cap(e.events)-len(e.events))*need, maxEncodings)))
	}
	from := len(e.bytes)
	e.bytes = append(append(e.bytes, e.head...), message...)
	e.events = append(e.events, encoded{ev, e.bytes[from:len(e.bytes):len(e.bytes)]})
	return &e.events[len(e.events)-1]
}

// maxEncodings is how much memory is taken at once for messages that are yet to come.
const maxEncodings = 16 << 10

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
