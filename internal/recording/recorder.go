package recording

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/internal/image"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/wire"
)

// Config of a Recorder. Dir is required; a zero in any other field means its default.
type Config struct {
	Dir      string        // for files of this master alone; made if it is not there
	MaxBytes int64         // of one file, about; twice its checkpoint if that is more. Defaults to DefaultMaxBytes
	MaxFiles int           // older ones are removed. Defaults to DefaultMaxFiles
	Queue    int           // bytes that may wait for the disk, without checkpoints. Defaults to 16 MiB
	Retry    time.Duration // how long after a cut the recording begins again, at the least. Defaults to 10 s
	Logger   *slog.Logger  // defaults to none

	open   func(path string) (file, error) // of tests; defaults to the file system
	events int64                           // of tests: bytes of events in a file, whatever the size of its checkpoint
}

// Defaults of Config.
const (
	DefaultMaxBytes = 64 << 20
	DefaultMaxFiles = 16
)

func (c Config) withDefaults() Config {
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.MaxFiles = cmp.Or(c.MaxFiles, DefaultMaxFiles)
	c.Queue = cmp.Or(c.Queue, 16<<20)
	c.Retry = cmp.Or(c.Retry, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.open == nil {
		c.open = create
	}
	return c
}

// Clock returns a clock whose times can be recorded: the wall clock's at the moment of the call, moved on by the monotonic one. A core that
// is recorded must see no other.
func Clock() func() time.Time {
	began := time.Now()
	base := began.UTC().Round(0)
	return func() time.Time { return base.Add(time.Since(began)) }
}

// Images returns the codec of checkpoints.
func Images() (*image.Codec[mastercore.Core], error) {
	return image.New[mastercore.Core](mastercore.StateTypes(), image.Field{Package: "github.com/tidwall/btree", Name: "isoid"})
}

// A Frame is what came over a connection at once. Its messages that are events of the core are stepped one after the other; they are recorded
// by the frame's bytes, which costs no more than a copy.
type Frame struct {
	Conn      mastercore.ConnID
	Principal string
	Bytes     []byte // as wire.DecodeBatch reads them; unchanged until the last message is recorded
	Last      int    // counts messages from 0: the last that is an event
}

// A Recorder records one core from Start to Close. Event, Message, Effects, Settled and Close are called by the goroutine that steps the core.
type Recorder struct {
	cfg    Config
	core   *mastercore.Core
	images *image.Codec[mastercore.Core]
	digest *digest
	event  []byte // scratch
	lastAt int64
	files  int
	image  int // bytes of the last checkpoint

	wake chan struct{} // capacity 1
	stop chan struct{}
	done chan struct{}

	// Of the goroutine that steps the core while held, so that an event costs no lock; otherwise under mu.
	on      bool
	block   []byte // entries that were not handed over
	pending bool   // the last entry waits for its digest
	sum     uint32 // the checksum of the block's first bytes
	summed  int    // which are so many
	frame   *Frame // in the block, whose messages come next; nil for none
	message int    // the one that comes next
	size    int64  // of the file at hand, as far as it was handed over
	limit   int64
	why     string // there is a gap
	since   time.Time
	missed  uint64

	free    chan []byte  // blocks that were written
	waiting atomic.Int64 // bytes of blocks in queue and on their way

	mu     sync.Mutex
	held   bool
	broken string // what the disk failed with
	queue  []piece
}

// piece is what goes to the disk in one go: the beginning of a file, a block, or the end of a file.
type piece struct {
	header *Header
	image  []byte
	block  []byte
	end    string
}

// Start begins to record with the core as it is. It must not be stepped before Start has returned. The error is that of a core that cannot be
// kept, which is a mistake in this program.
func Start(cfg Config, now time.Time, core *mastercore.Core) (*Recorder, error) {
	images, err := Images()
	if err != nil {
		return nil, err
	}
	r := &Recorder{cfg: cfg.withDefaults(), core: core, images: images, digest: newDigest(), wake: make(chan struct{}, 1), stop: make(chan struct{}),
		done: make(chan struct{}), free: make(chan []byte, 4)}
	if err := r.begin(now); err != nil {
		return nil, err
	}
	r.Settled(now)
	go r.write()
	return r, nil
}

// begin opens the next file with a checkpoint.
func (r *Recorder) begin(now time.Time) error {
	b, err := r.images.Encode(make([]byte, 0, r.image+r.image/8+4096), r.core)
	if err != nil {
		return fmt.Errorf("recording: checkpoint: %w", err)
	}
	r.image = len(b)
	r.files++
	about := r.core.View().Summary()
	h := &Header{Build: r.images.Fingerprint(), Version: programVersion(), Cluster: about.Cluster, Reign: about.Reign, Master: about.Master, File: r.files, At: now}
	r.digest.reset()
	r.hold()
	if r.on {
		r.hand()
		r.push(piece{end: "the next file goes on"})
	}
	r.size, r.limit = int64(len(b)), max(r.cfg.MaxBytes, 2*int64(len(b)))
	if r.cfg.events > 0 {
		r.limit = r.size + r.cfg.events
	}
	h.Gap, h.Missed = r.why, r.missed
	r.on, r.why, r.missed = true, "", 0
	r.push(piece{header: h, image: b})
	return nil
}

// hold takes what belongs to the goroutine that steps the core, until Settled.
func (r *Recorder) hold() {
	if r.held {
		return
	}
	r.mu.Lock()
	r.held = true
	broken := r.broken
	r.broken = ""
	r.mu.Unlock()
	if broken != "" && r.on {
		r.cut(broken)
	}
}

// push queues a piece.
func (r *Recorder) push(p piece) {
	r.mu.Lock()
	r.queue = append(r.queue, p)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// hand queues the block at hand.
func (r *Recorder) hand() {
	if p, ok := r.cutOff(); ok {
		r.push(p)
	}
}

// cutOff takes the block at hand.
func (r *Recorder) cutOff() (piece, bool) {
	if len(r.block) == 0 {
		return piece{}, false
	}
	r.addUp()
	frame(r.block, r.sum)
	p := piece{block: r.block}
	r.waiting.Add(int64(len(r.block)))
	r.size += int64(len(r.block))
	r.block, r.pending, r.frame = nil, false, nil
	return p, true
}

// Event records an event that is about to be stepped.
func (r *Recorder) Event(now time.Time, ev mastercore.Event) {
	r.hold()
	if !r.on {
		r.missed++
		return
	}
	var err error
	if r.event, err = wire.AppendEvent(r.event[:0], ev); err != nil {
		r.cut(fmt.Sprintf("an event cannot be recorded: %v", err))
		r.missed++
		return
	}
	if !r.room(now, len(r.event)) {
		return
	}
	r.block = r.stamp(append(r.block, entryEvent), now)
	r.block = append(binary.AppendUvarint(r.block, uint64(len(r.event))), r.event...)
	r.block, r.pending = append(r.block, 0, 0, 0, 0), true
}

// Message is Event for message i of a frame.
func (r *Recorder) Message(now time.Time, f *Frame, i int) {
	r.hold()
	if !r.on {
		r.missed++
		return
	}
	if r.frame != f || i < r.message {
		if !r.room(now, len(f.Principal)+len(f.Bytes)) {
			return
		}
		r.block = binary.AppendUvarint(append(r.block, entryFrame), uint64(f.Conn))
		r.block = append(binary.AppendUvarint(r.block, uint64(len(f.Principal))), f.Principal...)
		r.block = append(binary.AppendUvarint(r.block, uint64(len(f.Bytes))), f.Bytes...)
		r.frame, r.message = f, 0
		r.addUp()
	}
	if skip := i - r.message; skip == 0 {
		r.block = append(r.block, entryMessage)
	} else {
		r.block = binary.AppendUvarint(r.block, uint64(entryMessage+skip))
	}
	r.message = i + 1
	r.block, r.pending = append(r.stamp(r.block, now), 0, 0, 0, 0), true
}

// stamp appends how long after the entry before this one is.
func (r *Recorder) stamp(b []byte, now time.Time) []byte {
	at := now.UnixNano()
	wait := at - r.lastAt
	r.lastAt = at
	if wait == 0 {
		return append(b, 0)
	}
	return binary.AppendVarint(b, wait)
}

// room makes room in the block for an entry of about so many bytes; false when the event is not recorded.
func (r *Recorder) room(now time.Time, size int) bool {
	const most = maxBody - 2*blockSize // an entry of that size is alone in its block, with what the messages of a frame add
	if size > most {
		r.cut(fmt.Sprintf("an event of %d bytes cannot be recorded (allowed: %d)", size, most))
	} else if wait := int(r.waiting.Load()) + len(r.block); wait+size > r.cfg.Queue {
		r.cut(fmt.Sprintf("the disk did not keep up: %d bytes wait", wait))
	}
	if !r.on {
		r.missed++
		return false
	}
	if len(r.block)+size > blockSize {
		r.hand()
	}
	if len(r.block) > 0 {
		return true
	}
	if r.block == nil {
		r.block = r.spare()
	}
	r.lastAt, r.sum, r.summed = now.UnixNano(), 0, blockFrame
	r.block = append(r.block[:0], make([]byte, blockFrame)...)
	r.block = binary.LittleEndian.AppendUint64(append(r.block, blockEvents), uint64(r.lastAt))
	return true
}

// addUp adds to the block's checksum what is new in it; soon, while the processor has it at hand.
func (r *Recorder) addUp() {
	r.sum = checksum(r.sum, r.block[r.summed:])
	r.summed = len(r.block)
}

// spare returns memory for a block, used before if there is some.
func (r *Recorder) spare() []byte {
	select {
	case b := <-r.free:
		return b
	default:
		return aligned(blockSize + blockSpare + padding)
	}
}

// blockSpare is what a block has room for beyond blockSize: what the messages of its last frame add.
const blockSpare = 16 << 10

// Effects records what the event brought about.
func (r *Recorder) Effects(effects []mastercore.Effect) {
	if !r.pending {
		return
	}
	r.pending = false
	binary.LittleEndian.PutUint32(r.block[len(r.block)-4:], r.digest.add(effects))
	full := blockSize
	if r.frame != nil && r.message <= r.frame.Last {
		full = maxBody - blockSize // in another block the frame stands again
	}
	if len(r.block) >= full || r.cfg.events > 0 && int64(len(r.block)) >= r.cfg.events {
		r.hand()
	}
}

// cut ends the file at hand visibly. What was queued before is still written, if the disk comes back.
func (r *Recorder) cut(why string) {
	r.cfg.Logger.Warn("the recording is cut; the master goes on", "why", why)
	r.hand()
	r.on, r.why, r.since, r.missed = false, why, time.Now(), 0
	r.push(piece{end: why})
}

// Settled is called after each batch of steps: the moment for a new file, when the one at hand is full or a while after the recording was
// cut. What was recorded before it reaches the disk within a second, if the disk keeps up.
func (r *Recorder) Settled(now time.Time) {
	r.hold()
	if r.on && r.size+int64(len(r.block)) >= r.limit || !r.on && r.idle() && time.Since(r.since) >= r.cfg.Retry {
		if err := r.begin(now); err != nil {
			r.cut(err.Error())
		}
	}
	r.mu.Lock()
	r.held = false
	r.mu.Unlock()
}

// idle reports whether all that was queued is written.
func (r *Recorder) idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) == 0 && r.waiting.Load() == 0
}

// closeTimeout is how long Close waits for the disk.
const closeTimeout = 2 * time.Second

// Close ends the recording with a reason and waits until it is written. A disk that hangs is waited for two seconds; then the goroutine that
// writes is left behind, until the disk comes back.
func (r *Recorder) Close(why string) {
	r.hold()
	if r.on {
		r.hand()
		r.push(piece{end: why})
	}
	r.on = false
	close(r.stop)
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		r.cfg.Logger.Error("the disk of the recording hangs; its last events are not written", "dir", r.cfg.Dir)
	}
}
