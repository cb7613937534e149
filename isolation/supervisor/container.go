package supervisor

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// How far a kill has been asked for.
const (
	none = iota
	polite
	sure
)

// maxSaid bounds what is told of a supervisor's own words, in bytes.
const maxSaid = 512

// A container is the slave's side of one. One goroutine carries it from start to end.
type container struct {
	r        *Runner
	id       string
	dir      string
	spec     *isolation.Spec
	orphan   bool
	program  *supervisorProcess // the supervisor, if this process started it
	wasReady bool               // before there was the container
	counted  bool               // among those that are being started
	free     bool               // the supervisor is free again
	wake     chan struct{}

	mu         sync.Mutex
	kill       int
	limitation *isolation.Limitation
	unprepare  context.CancelFunc // ends the preparation; nil before and after it
	prepared   bool               // the isolators know it
	wanted     *allowance         // what it may use from now on, nil if that is said already
	resizing   bool
	until      time.Duration // of its lease, by process.Clock; zero: not known
}

// An allowance is what a container may use.
type allowance struct {
	resources resource.Resources
	limits    []offer.Limit
}

// askKill raises the wish to kill; a lower one than before is no news.
func (c *container) askKill(surely bool) {
	want := polite
	if surely {
		want = sure
	}
	c.mu.Lock()
	c.kill = max(c.kill, want)
	if c.unprepare != nil {
		c.unprepare()
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *container) killWanted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kill
}

func (c *container) event(ev isolation.Event) {
	if c.orphan || c.r.ctx.Err() != nil {
		return
	}
	ev.Container = c.id
	if c.spec != nil {
		ev.Sandbox = c.spec.Sandbox
	}
	c.r.events(ev)
}

func (c *container) startFailed(reason offer.Reason, err error) {
	message := err.Error()
	var refusal *offer.Refusal
	if errors.As(err, &refusal) {
		reason, message = refusal.Reason, refusal.Message
	}
	c.mu.Lock()
	if c.kill != none && c.limitation == nil { // not by the slave itself
		reason = offer.ReasonTaskKilledDuringLaunch
	}
	c.mu.Unlock()
	c.event(isolation.Event{Kind: isolation.StartFailed, Reason: reason, Message: message})
}

// start is the life of a container that this slave starts, or takes over if an earlier run of it has.
func (c *container) start(spec *isolation.Spec, recovered bool) {
	c.spec = spec
	if spec.Function != "" && !Registered(spec.Function) {
		c.event(isolation.Event{Kind: isolation.StartFailed, Reason: offer.ReasonFunctionUnknown,
			Message: fmt.Sprintf("function %q: the slave's program registers no function of that name", spec.Function)})
		return
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		c.startFailed(offer.ReasonContainerLaunchFailed, err)
		return
	}
	attempt := 1
	if recovered {
		ran, next, err := settle(c.dir)
		if err != nil {
			c.startFailed(offer.ReasonContainerLaunchFailed, err)
			return
		}
		if ran {
			c.follow(false)
			return
		}
		attempt = next
	}
	defer c.starting(false)
	var conn net.Conn
	err := c.mayStart(recovered)
	if err == nil {
		conn, err = c.prepareAndLaunch(attempt)
	}
	if errors.Is(err, errClosed) {
		return
	}
	if err != nil {
		if !c.empty(c.r.ctx) {
			return
		}
		c.cleanup()
		c.startFailed(offer.ReasonContainerLaunchFailed, err)
		return
	}
	if told := c.converse(conn); !told && c.wasReady && c.again() {
		return
	}
	c.finish(false)
}

var (
	errClosed = errors.New("the runner is closed")
	errKilled = errors.New("killed before it was started")
)

// prepareAndLaunch takes its turn among the containers that are being started, but not while it waits for what comes from elsewhere.
func (c *container) prepareAndLaunch(attempt int) (net.Conn, error) {
	ctx, cancel := context.WithCancel(c.r.ctx)
	defer cancel()
	c.mu.Lock()
	c.unprepare = cancel
	if c.kill != none {
		cancel()
	}
	c.mu.Unlock()
	if !c.takeSlot() {
		return nil, errClosed
	}
	plan := &isolation.Plan{Directory: c.spec.Sandbox, Cgroups: &isolation.Cgroups{}}
	err := ctx.Err()
	if err == nil {
		err = c.r.cfg.Isolation.Prepare(ctx, c.spec, plan)
	}
	if err == nil && c.r.cfg.Isolation.Provides(c.spec) {
		<-c.r.slots
		c.starting(false)
		err = c.r.cfg.Isolation.Provide(ctx, c.spec, plan)
		if !c.takeSlot() {
			return nil, cmp.Or(err, errClosed)
		}
	}
	defer func() { <-c.r.slots }()
	c.mu.Lock()
	c.unprepare = nil
	killed := c.kill != none
	c.mu.Unlock()
	if killed {
		return nil, errKilled
	}
	if err != nil {
		return nil, err
	}
	if err := c.mayStart(false); err != nil {
		return nil, err
	}
	c.nowPrepared()
	return c.launch(attempt, plan)
}

func (c *container) takeSlot() bool {
	select {
	case c.r.slots <- struct{}{}:
		c.starting(true)
		return true
	case <-c.r.ctx.Done():
		return false
	}
}

// launch gives the container a supervisor, one that is ready if there is one. It returns the connection to it.
func (c *container) launch(attempt int, plan *isolation.Plan) (net.Conn, error) {
	o := order{Spec: c.spec, Plan: plan, Boot: process.BootID(), LeaseUntil: c.leasedUntil()}
	o.OutputBytes, o.OutputFiles = c.r.cfg.output(c.spec)
	if err := writeOrder(c.dir, &o); err != nil {
		return nil, err
	}
	return c.engage(attempt, true)
}

// engage finds a supervisor and gives it the order that was written.
func (c *container) engage(attempt int, ready bool) (net.Conn, error) {
	socket := filepath.Join(c.dir, socketFile)
	_ = os.Remove(socket)
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	ln.SetUnlinkOnClose(false)
	lf, err := ln.File()
	if err != nil {
		return nil, err
	}
	defer lf.Close()
	a := assignment{Dir: c.dir, Attempt: attempt, Again: c.r.cfg.Ready > 0}
	for ready {
		p := c.r.ready.take()
		if p == nil {
			break
		}
		if p.assign(a, lf) == nil {
			c.program, c.wasReady = p, true
			return p.conn, nil
		}
		p.end() // it is gone: a supervisor that waits reads
	}
	p, err := startSupervisor(false)
	if err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	if err := p.assign(a, lf); err != nil {
		p.end()
		return nil, fmt.Errorf("tell the supervisor its order: %w", err)
	}
	c.program, c.wasReady = p, false
	return p.conn, nil
}

// again engages another supervisor if the one that was ready has died before it began. It reports whether there is nothing left to do.
func (c *container) again() bool {
	if c.r.ctx.Err() != nil {
		return false
	}
	ran, attempt, err := settle(c.dir)
	if ran || err != nil {
		return false
	}
	c.program.end()
	conn, err := c.engage(attempt, false)
	if err != nil {
		if c.empty(c.r.ctx) {
			c.cleanup()
			c.startFailed(offer.ReasonContainerLaunchFailed, err)
		}
		return true
	}
	c.converse(conn)
	return false
}

// starting says whether the container is being started now. Of its goroutine.
func (c *container) starting(is bool) {
	if c.counted == is {
		return
	}
	c.counted = is
	n := -1
	if is {
		n = 1
	}
	c.r.ready.began(n)
}

// adopt is the life of a container that an earlier run of the slave has started.
func (c *container) adopt() { c.follow(true) }

// follow connects to a supervisor of an earlier run, if it is still there, and stays with it to the end.
func (c *container) follow(adopted bool) {
	c.nowPrepared()
	if c.spec == nil {
		var o order
		if readRecord(c.dir, orderRecord, &o) == nil {
			c.spec = o.Spec
		}
	}
	if conn, err := net.Dial("unix", filepath.Join(c.dir, socketFile)); err == nil {
		c.converse(conn)
	}
	c.finish(adopted)
}

// runOrphan ends a container that the slave does not know, and removes its files.
func (c *container) runOrphan() {
	if _, _, err := settle(c.dir); err != nil {
		c.r.cfg.Logger.Warn("end an orphan", "dir", c.dir, "err", err)
	}
	if conn, err := net.Dial("unix", filepath.Join(c.dir, socketFile)); err == nil {
		c.converse(conn)
	}
	if c.r.ctx.Err() != nil {
		return
	}
	if c.id != "" && !c.empty(c.r.ctx) {
		return // the next run of the slave finds the folder, and goes on
	}
	killRemains(c.dir)
	if c.id != "" {
		c.cleanup()
	}
	_ = os.RemoveAll(c.dir)
}

// converse talks to the supervisor until it ends, or is free again, or the runner closes. It reports whether the supervisor has said anything.
func (c *container) converse(conn net.Conn) (told bool) {
	ctx, cancel := context.WithCancel(c.r.ctx)
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	var wg sync.WaitGroup
	defer func() {
		if !c.free || !stop() {
			_ = conn.Close()
		}
		cancel()
		wg.Wait()
	}()
	wg.Go(func() { c.sayKills(ctx, conn) })
	lines := bufio.NewReader(conn)
	started, attached := false, false
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return told
		}
		told = true
		var st state
		if json.Unmarshal(line, &st) != nil || c.orphan {
			continue
		}
		if st.Free && c.program != nil {
			c.free = true
			return told
		}
		if !attached {
			attached = true
			if err := c.r.cfg.Isolation.Attach(ctx, c.id, st.Process.PID); err != nil && ctx.Err() == nil {
				c.limit(isolation.Limitation{Reason: offer.ReasonContainerLaunchFailed, Message: err.Error()})
			} else if !st.Started {
				_, _ = conn.Write([]byte(sayGo + "\n"))
			}
			if c.r.cfg.Isolation.Watches() {
				wg.Go(func() { c.watch(ctx) })
			}
		}
		if st.Started && !started {
			started = true
			c.starting(false)
			c.event(isolation.Event{Kind: isolation.Started, PID: st.Process.PID})
		}
	}
}

// sayKills passes on how far a kill has been asked for, and until when the lease is good.
func (c *container) sayKills(ctx context.Context, conn net.Conn) {
	said, lease := none, time.Duration(0)
	for {
		lease = c.sayLease(conn, lease)
		if want := c.killWanted(); want > said {
			said = want
			word := sayTerm
			if want == sure {
				word = sayKill
			}
			_, _ = conn.Write([]byte(word + "\n"))
			if want == sure {
				c.empty(ctx) // at once, also what starts processes faster than the supervisor finds them
			}
		}
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
	}
}

// nowPrepared says what was asked for too early.
func (c *container) nowPrepared() {
	c.mu.Lock()
	c.prepared = true
	c.mu.Unlock()
	c.resize(nil)
}

// resize tells the isolators what the container may use from now on; nil is no news. It is told in order, and of several that wait the last.
func (c *container) resize(to *allowance) {
	c.mu.Lock()
	if to != nil {
		c.wanted = to
	}
	begin := c.prepared && c.wanted != nil && !c.resizing
	c.resizing = c.resizing || begin
	c.mu.Unlock()
	if begin {
		c.r.goDo(c.sayResources)
	}
}

func (c *container) sayResources() {
	for {
		c.mu.Lock()
		to := c.wanted
		c.wanted, c.resizing = nil, to != nil
		c.mu.Unlock()
		if to == nil {
			return
		}
		if err := c.r.cfg.Isolation.Update(c.r.ctx, c.id, to.resources, to.limits); err != nil && c.r.ctx.Err() == nil {
			c.r.cfg.Logger.Warn("resize a container", "container", c.id, "err", err)
		}
	}
}

// empty has the isolators end everything that is left in the container, again and again until nothing is. Before that nobody may be told
// that the container has ended, since what it uses is then given to others. It returns false if ctx ended first.
func (c *container) empty(ctx context.Context) bool {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		err := c.r.cfg.Isolation.Kill(ctx, c.id)
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		c.r.cfg.Logger.Error("a container cannot be emptied, which is tried again", "container", c.id, "after", pause, "err", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}

func (c *container) watch(ctx context.Context) {
	if l, err := c.r.cfg.Isolation.Watch(ctx, c.id); err == nil {
		c.limit(l)
	}
}

// limit kills the container for a limitation, which is told with its end.
func (c *container) limit(l isolation.Limitation) {
	c.mu.Lock()
	if c.limitation == nil {
		c.limitation = &l
	}
	c.mu.Unlock()
	c.askKill(true)
}

// finish tells how the container ended. The supervisor is gone, by itself or not.
func (c *container) finish(adopted bool) {
	if c.r.ctx.Err() != nil {
		if c.program != nil {
			_ = c.program.program.Release()
			c.program.close()
		}
		return
	}
	if c.program != nil && !c.free {
		_, _ = c.program.program.Wait()
		defer c.program.close()
	}
	var rep report
	err := readRecord(c.dir, exitRecord, &rep)
	if c.free && (err != nil || !c.r.ready.put(c.program)) {
		c.program.end()
	}
	if !c.empty(c.r.ctx) {
		return
	}
	if err != nil {
		killRemains(c.dir)
	}
	l := c.lastLimitation()
	c.cleanup()
	ev := isolation.Event{Kind: isolation.Exited, Exit: rep.Exit, Known: err == nil && !rep.Unknown}
	switch {
	case err == nil && rep.Failed != "" && !adopted:
		reason := offer.ReasonContainerLaunchFailed
		message := rep.Failed
		if rep.Expired {
			reason = offer.ReasonLeaseExpired
		}
		if l != nil {
			reason, message = l.Reason, l.Message
		}
		c.startFailed(reason, errors.New(message))
		return
	case err == nil && rep.Failed != "":
		ev.Known, ev.Exit = false, offer.Exit{}
		ev.Reason, ev.Message = offer.ReasonContainerLaunchFailed, rep.Failed
	case err != nil:
		ev.Message = "the task's supervisor ended without a result"
		if errors.Is(err, errDamaged) {
			ev.Message = "the task's result cannot be read: " + err.Error()
		}
		said, _ := os.ReadFile(filepath.Join(c.dir, logFile))
		if said := string(said) + c.program.said(); said != "" {
			ev.Message += ": " + said[:min(len(said), maxSaid)]
		}
	}
	if rep.Expired {
		ev.Reason, ev.Message = offer.ReasonLeaseExpired, c.leaseText()
	}
	if l != nil {
		ev.Reason, ev.Message, ev.Limitation = l.Reason, l.Message, l.Resources
	}
	c.event(ev)
}

// lastLimitation is what the container was killed for, also by the system and while no slave watched.
func (c *container) lastLimitation() *isolation.Limitation {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.limitation == nil && c.r.cfg.Isolation.Watches() {
		over, cancel := context.WithCancel(c.r.ctx)
		cancel()
		if l, err := c.r.cfg.Isolation.Watch(over, c.id); err == nil {
			return &l
		}
	}
	return c.limitation
}

func (c *container) cleanup() {
	if err := c.r.cfg.Isolation.Cleanup(context.WithoutCancel(c.r.ctx), c.id); err != nil {
		c.r.cfg.Logger.Warn("clean up a container", "container", c.id, "err", err)
	}
}
