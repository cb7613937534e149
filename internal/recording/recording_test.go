package recording

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/sim"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record runs a simulated cluster whose leaders are recorded, and returns the files and what the last core's books were at the end.
func record(t testing.TB, seed uint64, cfg Config) (files []string, books map[uint64]string) {
	t.Helper()
	cfg.Dir = t.TempDir()
	var recorders []*Recorder
	var cores []*mastercore.Core
	// Dates that jump are not of this world: a core that is recorded reads a clock that does not (Clock).
	report := sim.Run(sim.Config{Seed: seed, Slaves: 3, Tasks: 12, Wire: true, Faults: sim.AllFaults &^ (sim.FaultJump | sim.FaultSuspend), Witness: func(now time.Time, core *mastercore.Core) sim.Witness {
		r, err := Start(cfg, now, core)
		require.NoError(t, err)
		recorders, cores = append(recorders, r), append(cores, core)
		return r
	}})
	require.Nil(t, report.Violation)
	books = map[uint64]string{}
	for i, r := range recorders {
		r.Close("the test is over")
		books[cores[i].View().Summary().Reign] = cores[i].Describe()
	}
	files, err := Files(cfg.Dir)
	require.NoError(t, err)
	return files, books
}

// play replays a file to its end.
func play(t testing.TB, path string) (*Replay, *Reader) {
	t.Helper()
	r, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	p, err := NewReplay(r)
	require.NoError(t, err)
	for {
		if _, err = p.Step(); err != nil {
			break
		}
	}
	require.Equal(t, io.EOF, err, path)
	return p, r
}

func TestAReplayDecidesAsTheCoreDid(t *testing.T) {
	for seed := range uint64(3) {
		files, books := record(t, 40+seed, Config{events: 3000, MaxFiles: 1000})
		events, last := 0, map[uint64]string{}
		for _, f := range files {
			p, r := play(t, f)
			why, cut := r.Ending()
			require.False(t, cut, why)
			require.Empty(t, r.Header.Gap)
			require.NoError(t, p.Core.Check())
			events += p.N
			last[r.Header.Reign] = p.Core.Describe()
		}
		require.Equal(t, books, last)
		require.Greater(t, len(files), len(books), "some files were rotated")
		t.Logf("%d files, %d reigns, %d events", len(files), len(books), events)
	}
}

func TestFilesAreBounded(t *testing.T) {
	files, _ := record(t, 50, Config{events: 2000, MaxFiles: 3})
	require.Len(t, files, 3)
	for _, f := range files {
		play(t, f)
	}
}

func TestOtherDecisionsAreNoticed(t *testing.T) {
	files, _ := record(t, 63, Config{})
	var longest string
	most := 0
	for _, f := range files {
		if p, _ := play(t, f); p.N > most {
			longest, most = f, p.N
		}
	}
	data, err := os.ReadFile(longest)
	require.NoError(t, err)
	var eventful []bool
	first, err := NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	whole, err := NewReplay(first)
	require.NoError(t, err)
	for step := (Step{}); err == nil; {
		if step, err = whole.Step(); err == nil {
			eventful = append(eventful, len(step.Effects) > 0)
		}
	}
	r, err := NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	p, err := NewReplay(r)
	require.NoError(t, err)
	n := 0
	for ; n < 30 || !eventful[n]; n++ {
		_, err := p.Step()
		require.NoError(t, err)
	}
	// As a program would that decides otherwise: it forgets one event.
	_, err = p.r.Next()
	require.NoError(t, err)
	for err == nil {
		_, err = p.Step()
	}
	d := (*Difference)(nil)
	require.ErrorAs(t, err, &d)
	require.Greater(t, d.Step.N, n)
	_, err = p.Step()
	require.Equal(t, io.EOF, err)
}

func TestAReplayStopsAtAnyInstant(t *testing.T) {
	files, _ := record(t, 61, Config{})
	r, err := Open(files[0])
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	p, err := NewReplay(r)
	require.NoError(t, err)
	at := r.Header.At.Add(3 * time.Second)
	require.NoError(t, p.To(at))
	require.False(t, p.At.After(at))
	before := p.N
	require.Positive(t, before)
	step, err := p.Step()
	require.NoError(t, err)
	require.True(t, step.At.After(at))
	require.Equal(t, before+1, step.N)
	require.Equal(t, io.EOF, p.To(at.Add(1000*time.Hour)))
}

func size(t testing.TB, path string) int64 {
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

func TestATornTailCostsTheTailOnly(t *testing.T) {
	files, _ := record(t, 62, Config{})
	path := slices.MaxFunc(files, func(a, b string) int { return cmp.Compare(size(t, a), size(t, b)) })
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	whole, over := play(t, path)
	first, err := NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	start := int(first.blocks.at)
	previous := whole.N
	for cut := int(over.blocks.at) - 1; cut > start; cut -= 1 + (len(data)-start)/40 {
		r, err := NewReader(bytes.NewReader(data[:cut]))
		require.NoError(t, err)
		p, err := NewReplay(r)
		require.NoError(t, err)
		for err == nil {
			_, err = p.Step()
		}
		require.Equal(t, io.EOF, err)
		_, torn := r.Ending()
		require.True(t, torn)
		require.LessOrEqual(t, p.N, previous)
		previous = p.N
	}
	for cut := 0; cut < start; cut += 1 + start/50 {
		_, err := NewReader(bytes.NewReader(data[:cut]))
		require.ErrorIs(t, err, ErrFormat)
	}
	data[start+200] ^= 1
	r, err := NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	_, err = r.Next()
	require.Equal(t, io.EOF, err)
	why, torn := r.Ending()
	require.True(t, torn)
	require.Contains(t, why, "a wrong checksum")
}

func TestACheckpointOfAnotherBuildIsRefused(t *testing.T) {
	files, _ := record(t, 63, Config{})
	r, err := Open(files[0])
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	r.Header.Build = "another"
	require.Equal(t, programVersion(), r.Header.Version)
	r.Header.Version = "v0.0.1-older"
	_, err = NewReplay(r)
	require.ErrorIs(t, err, ErrBuild)
	for _, named := range []string{"v0.0.1-older", `"another"`, programVersion()} {
		require.ErrorContains(t, err, named)
	}
}

// newCore is a core without slaves or frameworks.
func newCore(t testing.TB, now time.Time) *mastercore.Core {
	state := registry.New()
	res := state.Apply(registry.Entry{Commands: []registry.Command{{Key: registry.Key{1}, Op: &registry.Open{Cluster: "c", Master: "m"}}}})
	require.Nil(t, res[0].Err)
	return mastercore.New(now, mastercore.Config{Registry: state.View(), Allocator: allocator.New(allocator.Config{}), Seed: 1})
}

// slowDisk takes nothing until it is let go, and fails if told to.
type slowDisk struct {
	gate chan struct{}
	mu   sync.Mutex
	fail error
	full bool
	out  []*bytes.Buffer
}

type slowFile struct {
	d *slowDisk
	b *bytes.Buffer
}

func (d *slowDisk) open(string) (file, error) {
	<-d.gate
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	d.out = append(d.out, new(bytes.Buffer))
	return &slowFile{d, d.out[len(d.out)-1]}, nil
}

func (f *slowFile) Write(b []byte) (int, error) {
	<-f.d.gate
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.full {
		n, _ := f.b.Write(b[:len(b)/2])
		return n, syscall.ENOSPC
	}
	return f.b.Write(b)
}

func (f *slowFile) Close() error { return nil }

func (r *Recorder) active() bool {
	r.hold()
	defer func() {
		r.mu.Lock()
		r.held = false
		r.mu.Unlock()
	}()
	return r.on
}

func step(r *Recorder, core *mastercore.Core, now time.Time, ev mastercore.Event) {
	r.Event(now, ev)
	r.Effects(core.Step(now, ev, nil))
	r.Settled(now)
}

func TestADiskThatDoesNotKeepUpCutsTheRecordingAndNotTheMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := Clock()
		core := newCore(t, clock())
		d := &slowDisk{gate: make(chan struct{})}
		r, err := Start(Config{Dir: "x", Queue: 200 << 10, open: d.open}, clock(), core)
		require.NoError(t, err)
		big := mastercore.Received{Conn: 1, Principal: strings.Repeat("p", 1000), Message: &message.Heartbeat{}}
		for range 1000 {
			step(r, core, clock(), big)
		}
		require.False(t, r.active())
		require.LessOrEqual(t, r.waiting.Load(), int64(200<<10))
		time.Sleep(time.Minute)
		step(r, core, clock(), big) // the disk still hangs: it is not tried again
		require.False(t, r.active())
		close(d.gate)
		synctest.Wait()
		step(r, core, clock(), big)
		require.True(t, r.active())
		for range 5 {
			step(r, core, clock(), mastercore.Tick{})
		}
		r.Close("over")
		require.Len(t, d.out, 2)
		first, err := NewReader(bytes.NewReader(d.out[0].Bytes()))
		require.NoError(t, err)
		p, err := NewReplay(first)
		require.NoError(t, err)
		for err == nil {
			_, err = p.Step()
		}
		require.Equal(t, io.EOF, err)
		why, cut := first.Ending()
		require.False(t, cut)
		require.Contains(t, why, "the disk did not keep up")
		second, err := NewReader(bytes.NewReader(d.out[1].Bytes()))
		require.NoError(t, err)
		require.Contains(t, second.Header.Gap, "the disk did not keep up")
		require.EqualValues(t, 1002-p.N, second.Header.Missed)
		p, err = NewReplay(second)
		require.NoError(t, err)
		for err == nil {
			_, err = p.Step()
		}
		require.Equal(t, io.EOF, err)
		require.Equal(t, 5, p.N)
		require.Equal(t, core.Describe(), p.Core.Describe())
	})
}

func TestADiskThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := Clock()
		core := newCore(t, clock())
		d := &slowDisk{gate: make(chan struct{}), fail: errors.New("no space left")}
		close(d.gate)
		r, err := Start(Config{Dir: "x", open: d.open}, clock(), core)
		require.NoError(t, err)
		synctest.Wait()
		step(r, core, clock(), mastercore.Tick{})
		require.False(t, r.active())
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		step(r, core, clock(), mastercore.Tick{})
		require.False(t, r.active(), "not at once")
		time.Sleep(11 * time.Second)
		step(r, core, clock(), mastercore.Tick{})
		require.True(t, r.active())
		r.Close("over")
		require.Len(t, d.out, 1)
		second, err := NewReader(bytes.NewReader(d.out[0].Bytes()))
		require.NoError(t, err)
		require.Equal(t, "no space left", second.Header.Gap)
	})
}

func TestAFullDiskCutsTheRecordingUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := Clock()
		core := newCore(t, clock())
		d := &slowDisk{gate: make(chan struct{})}
		close(d.gate)
		r, err := Start(Config{Dir: "x", open: d.open}, clock(), core)
		require.NoError(t, err)
		fills := func(full bool) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.full = full
		}
		step(r, core, clock(), mastercore.Tick{})
		time.Sleep(2 * flushEvery)
		fills(true)
		step(r, core, clock(), mastercore.Tick{})
		time.Sleep(2 * flushEvery)
		step(r, core, clock(), mastercore.Tick{})
		require.False(t, r.active())
		time.Sleep(11 * time.Second)
		step(r, core, clock(), mastercore.Tick{}) // begins again, too early
		time.Sleep(2 * flushEvery)
		step(r, core, clock(), mastercore.Tick{})
		require.False(t, r.active())
		fills(false)
		time.Sleep(11 * time.Second)
		step(r, core, clock(), mastercore.Tick{})
		require.True(t, r.active())
		step(r, core, clock(), mastercore.Tick{})
		r.Close("over")
		require.Len(t, d.out, 3)
		first, err := NewReader(bytes.NewReader(d.out[0].Bytes()))
		require.NoError(t, err)
		_, err = first.Next()
		require.NoError(t, err)
		last, err := NewReader(bytes.NewReader(d.out[2].Bytes()))
		require.NoError(t, err)
		require.Equal(t, syscall.ENOSPC.Error(), last.Header.Gap)
		_, err = last.Next()
		require.NoError(t, err)
		_, err = last.Next()
		require.Equal(t, io.EOF, err)
	})
}

func TestADiskThatHangsDoesNotHoldUpTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := Clock()
		core := newCore(t, clock())
		d := &slowDisk{gate: make(chan struct{})}
		r, err := Start(Config{Dir: "x", open: d.open}, clock(), core)
		require.NoError(t, err)
		began := time.Now()
		r.Close("over")
		require.Equal(t, closeTimeout, time.Since(began))
		close(d.gate)
		<-r.done
	})
}

func TestEventsReachTheDiskWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := Clock()
		core := newCore(t, clock())
		d := &slowDisk{gate: make(chan struct{})}
		close(d.gate)
		r, err := Start(Config{Dir: "x", open: d.open}, clock(), core)
		require.NoError(t, err)
		step(r, core, clock(), mastercore.Tick{})
		time.Sleep(flushEvery + time.Millisecond)
		synctest.Wait()
		written, err := NewReader(bytes.NewReader(d.out[0].Bytes()))
		require.NoError(t, err)
		e, err := written.Next()
		require.NoError(t, err)
		require.Equal(t, mastercore.Tick{}, e.Event)
		r.Close("over")
	})
}

// batch is the frame of some messages.
func batch(t testing.TB, messages ...message.Message) []byte {
	b, at := wire.OpenBatch(nil, "c", 1)
	var err error
	for _, m := range messages {
		b, err = wire.AppendMessage(b, m)
		require.NoError(t, err)
	}
	wire.CloseBatch(b, at, len(messages))
	return b
}

// TestMessagesAreRecordedByTheirFrame: also where only some are events, where a file or block ends amid a frame, and where a frame is larger
// than a block.
func TestMessagesAreRecordedByTheirFrame(t *testing.T) {
	for name, cfg := range map[string]Config{"whole": {}, "in pieces": {events: 100, MaxFiles: 1000}} {
		t.Run(name, func(t *testing.T) {
			cfg.Dir = t.TempDir()
			clock := Clock()
			core := newCore(t, clock())
			r, err := Start(cfg, clock(), core)
			require.NoError(t, err)
			var want []mastercore.Event
			play := func(principal string, messages ...message.Message) {
				f := &Frame{Conn: mastercore.ConnID(len(want) + 1), Principal: principal, Bytes: batch(t, messages...), Last: -1}
				isEvent := func(m message.Message) bool { return m.Kind() != message.KindWatch }
				for i, m := range messages {
					if isEvent(m) {
						f.Last = i
					}
				}
				for i, m := range messages {
					if !isEvent(m) {
						continue
					}
					now, ev := clock(), mastercore.Received{Conn: f.Conn, Principal: principal, Message: m}
					want = append(want, ev)
					r.Message(now, f, i)
					r.Effects(core.Step(now, ev, nil))
					if i%5 == 4 {
						r.Settled(now)
					}
				}
			}
			play("p", &message.Heartbeat{}, &message.Heartbeat{}, &message.Heartbeat{})
			play("", &message.Watch{}, &message.Heartbeat{}, &message.Watch{}, &message.Watch{}, &message.Heartbeat{}, &message.Watch{})
			want = append(want, mastercore.Tick{})
			step(r, core, clock(), mastercore.Tick{})
			for range 50 {
				play("q", &message.Heartbeat{}, &message.Watch{}, &message.Heartbeat{}, &message.Heartbeat{}, &message.Heartbeat{}, &message.Heartbeat{}, &message.Heartbeat{})
			}
			large := &message.Subscribe{Framework: offer.Framework{Name: strings.Repeat("n", blockSize)}}
			play("large", &message.Heartbeat{}, large, &message.Heartbeat{})
			play("p", &message.Heartbeat{})
			r.Close("over")
			files, err := Files(cfg.Dir)
			require.NoError(t, err)
			require.Equal(t, name == "in pieces", len(files) > 1)
			var got []mastercore.Event
			for _, path := range files {
				in, err := Open(path)
				require.NoError(t, err)
				p, err := NewReplay(in)
				require.NoError(t, err)
				for {
					s, err := p.Step()
					if err != nil {
						require.Equal(t, io.EOF, err)
						break
					}
					got = append(got, s.Event)
				}
				why, cut := in.Ending()
				require.False(t, cut, why)
				require.NoError(t, in.Close())
			}
			require.Equal(t, want, got)
		})
	}
}

// TestTheEventThatBringsACoreDownIsOnRecord: it has no digest, and the file says why it ends.
func TestTheEventThatBringsACoreDownIsOnRecord(t *testing.T) {
	dir := t.TempDir()
	clock := Clock()
	core := newCore(t, clock())
	r, err := Start(Config{Dir: dir}, clock(), core)
	require.NoError(t, err)
	step(r, core, clock(), mastercore.Tick{})
	bad := mastercore.Disconnected{Conn: 666}
	r.Event(clock(), bad)
	r.Close("the core failed")
	files, err := Files(dir)
	require.NoError(t, err)
	in, err := Open(files[0])
	require.NoError(t, err)
	defer func() { require.NoError(t, in.Close()) }()
	_, err = in.Next()
	require.NoError(t, err)
	e, err := in.Next()
	require.NoError(t, err)
	require.Equal(t, bad, e.Event)
	require.Zero(t, e.Digest)
	_, err = in.Next()
	require.Equal(t, io.EOF, err)
	why, cut := in.Ending()
	require.Equal(t, "the core failed", why)
	require.False(t, cut)
}

// FuzzReader reads what may be anything: no panic, no more memory than the input allows for, and an end.
func FuzzReader(f *testing.F) {
	core := newCore(f, time.Unix(1000, 0).UTC())
	images, err := Images()
	require.NoError(f, err)
	image, err := images.Encode(nil, core)
	require.NoError(f, err)
	seed := func(image []byte, blocks ...[]byte) {
		var b bytes.Buffer
		require.NoError(f, writeBeginning(&b, Header{Build: images.Fingerprint(), Cluster: offer.ClusterID("c")}, image))
		for _, body := range blocks {
			require.NoError(f, writeBlock(&b, body))
		}
		f.Add(b.Bytes())
	}
	ev, err := wire.AppendEvent(nil, mastercore.Tick{})
	require.NoError(f, err)
	batch, at := wire.OpenBatch(nil, "c", 1)
	batch, err = wire.AppendMessage(batch, &message.Heartbeat{})
	require.NoError(f, err)
	batch, err = wire.AppendMessage(batch, &message.Watch{})
	require.NoError(f, err)
	wire.CloseBatch(batch, at, 2)
	entries := append([]byte{blockEvents, 1, 2, 3, 4, 5, 6, 7, 8, entryEvent, 0, byte(len(ev))}, append(ev, 0, 0, 0, 0)...)
	entries = append(append(entries, entryFrame, 7, 1, 'p', byte(len(batch))), batch...)
	entries = append(entries, entryMessage, 2, 0, 0, 0, 0, entryMessage, 2, 1, 0, 0, 0)
	seed(nil, entries, []byte("Xwhy"))
	seed(image[:100], entries[:12])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		for n := 0; ; n++ {
			require.LessOrEqual(t, n, len(b))
			if _, err := r.Next(); err != nil {
				require.Equal(t, io.EOF, err)
				break
			}
		}
		if p, err := NewReplay(r); err == nil {
			_, err = p.Step()
			require.Equal(t, io.EOF, err)
		}
	})
}

func TestFilesAreForTheirOwnerAlone(t *testing.T) {
	files, _ := record(t, 64, Config{})
	for _, f := range files {
		info, err := os.Stat(f)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.Equal(t, ".rec", filepath.Ext(f))
	}
}
