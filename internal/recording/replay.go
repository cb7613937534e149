package recording

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
)

// ErrBuild is returned for a checkpoint that another build of this program has written: only one with the same types can read it.
var ErrBuild = errors.New("recording: the checkpoint was written by another build of this program; play it with that one")

// programVersion is that of the module, the commit it was built from, or that neither is known.
func programVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = " commit " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = " with changes"
		}
	}
	return cmp.Or(info.Main.Version, "development") + revision + changed
}

// A Replay is a core that goes through the events of a recording again.
type Replay struct {
	Core *mastercore.Core // as it is after the last Step
	At   time.Time        // of the last event
	N    int              // events so far

	r      *Reader
	digest *digest
	parted bool
	out    []mastercore.Effect
}

// A Step is one event of a Replay and what it brought about.
type Step struct {
	Entry
	N       int                 // counts from 1
	Effects []mastercore.Effect // good until the next step
}

// A Difference says that the core has decided otherwise than when it was recorded. What follows means nothing.
type Difference struct {
	Step   Step
	Digest uint32
}

func (d *Difference) Error() string {
	return fmt.Sprintf("event %d, at %s: the decisions differ from those recorded (digest %08x, recorded %08x)", d.Step.N,
		d.Step.At.Format(time.RFC3339Nano), d.Digest, d.Step.Digest)
}

// A Failure says that the core has panicked, as it may have done when it was recorded.
type Failure struct {
	Step  Step
	Cause any
}

func (f *Failure) Error() string {
	return fmt.Sprintf("event %d, at %s: the core failed: %v", f.Step.N, f.Step.At.Format(time.RFC3339Nano), f.Cause)
}

// NewReplay restores the core from the checkpoint of r. What it returns has the books in order, as the core's invariants say.
func NewReplay(r *Reader) (*Replay, error) {
	images, err := Images()
	if err != nil {
		return nil, err
	}
	if have := images.Fingerprint(); r.Header.Build != have {
		return nil, fmt.Errorf("%w (it was %.80q, types %.40q; this one is %q, types %q)", ErrBuild, r.Header.Version, r.Header.Build,
			programVersion(), have)
	}
	core, err := images.Decode(r.image)
	if err != nil {
		return nil, fmt.Errorf("recording: checkpoint: %w", err)
	}
	r.image = nil
	if err := inOrder(core); err != nil {
		return nil, fmt.Errorf("recording: the checkpoint is not in order: %w", err)
	}
	return &Replay{Core: core, At: r.Header.At, r: r, digest: newDigest()}, nil
}

// inOrder checks the invariants of a core that may be anything.
func inOrder(core *mastercore.Core) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return core.Check()
}

// Step takes the next event. It returns io.EOF after the last, a *Difference or a *Failure when the core parts with the recording.
func (p *Replay) Step() (Step, error) {
	if p.parted {
		return Step{}, io.EOF
	}
	e, err := p.r.Next()
	if err != nil {
		return Step{}, err
	}
	p.N++
	step := Step{Entry: e, N: p.N}
	if err := p.step(&step); err != nil {
		p.parted = true
		return step, err
	}
	p.At = e.At
	return step, nil
}

func (p *Replay) step(step *Step) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = &Failure{*step, cause}
		}
	}()
	p.out = p.Core.Step(step.At, step.Event, p.out[:0])
	step.Effects = p.out
	if sum := p.digest.add(p.out); sum != step.Digest && step.Digest != 0 {
		return &Difference{*step, sum}
	}
	return nil
}

// To goes on to the last event that is not after at, and returns io.EOF if the recording ends before.
func (p *Replay) To(at time.Time) error {
	for {
		next, err := p.r.peek()
		if err != nil {
			return err
		}
		if next.After(at) {
			return nil
		}
		if _, err := p.Step(); err != nil {
			return err
		}
	}
}
