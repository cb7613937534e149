package slavecore

import (
	"math/rand/v2"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// A Core decides everything that a slave does. It is not safe for concurrent use: one goroutine calls Step.
type Core struct {
	cfg    Config
	random *rand.ChaCha8
	now    time.Time
	out    []Effect // of the Step at hand
	timers timers

	cluster offer.ClusterID
	slave   offer.Slave // with the id once assigned, and the total as checkpointed
	reign   uint64
	boot    string

	registration registration
	held         []*message.Envelope // wait for a reign to be on disk
	reignWrites  int                 // checkpoints of reigns that are under way

	frameworks ordered[offer.FrameworkID, *framework]
	containers map[string]*container
	groups     map[uint64]*group
	lastGroup  uint64
	tasks      int                  // all that are held, ended ones with updates to deliver included
	live       int                  // those that have not ended
	executors  map[uint64]*executor // by connection
	touched    []*executor          // have tasks to be told about at the end of the Step
	awaited    int                  // executors that are expected back after a restart

	probes    map[uint64]*probe // under way, looked up only
	lastProbe uint64

	operations ordered[offer.UUID, *operation]
	leases     leases
	draining   *offer.Drain

	writes  writes
	fresh   bool    // the first Step, which recovers, is still to come
	torn    []*task // of a group that is not whole in the journal, until then
	stop    *stopping
	stopped bool
}

// New replays a journal and returns a core that will carry on from there with its first Step. An error says that the journal or the
// configuration cannot be used: nothing has been done then.
func New(now time.Time, cfg Config, records []Record) (*Core, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Core{cfg: cfg, now: now, random: newRandom(cfg), slave: cfg.Slave, containers: map[string]*container{},
		groups: map[uint64]*group{}, probes: map[uint64]*probe{}, executors: map[uint64]*executor{}, fresh: true}
	c.slave.ID = ""
	c.timers.base = now
	c.registration.timer.kind = timerRegister
	c.registration.ping.kind = timerPing
	c.leases.timer.kind = timerRenew
	if err := c.replay(records); err != nil {
		return nil, err
	}
	return c, nil
}

// SlaveID returns the id that the master has assigned, or nothing.
func (c *Core) SlaveID() offer.SlaveID { return c.slave.ID }

// Reign returns the highest reign seen.
func (c *Core) Reign() uint64 { return c.reign }

// Cluster returns the cluster that the slave belongs to, or nothing before its first registration.
func (c *Core) Cluster() offer.ClusterID { return c.cluster }

// Deadline reports when the core next wants a Tick; zero means never.
func (c *Core) Deadline() time.Time {
	switch {
	case c.stopped:
		return time.Time{}
	case c.fresh:
		return c.now
	}
	return c.timers.next()
}

// Step advances the core by one event and appends its effects to out. After a Stop effect it does nothing any more.
func (c *Core) Step(now time.Time, ev Event, out []Effect) []Effect {
	if c.stopped {
		return out
	}
	c.now, c.out = now, out
	if c.fresh {
		c.fresh = false
		c.recover()
	}
	c.handle(ev)
	for !c.stopped {
		t := c.timers.due(now)
		if t == nil {
			break
		}
		c.fire(t)
	}
	c.deliverTouched()
	c.stopIfDone()
	c.flush()
	c.timers.first()
	out, c.out = c.out, nil
	return out
}

func (c *Core) handle(ev Event) {
	switch ev := ev.(type) {
	case Connected:
		c.connected(ev.Conn)
	case Disconnected:
		c.disconnected(ev.Conn)
	case FromMaster:
		c.fromMaster(ev)
	case Checkpointed:
		c.checkpointed(ev.Token)
	case CheckpointFailed:
		c.checkpointFailed(ev)
	case Started:
		c.started(ev)
	case StartFailed:
		c.startFailed(ev)
	case Exited:
		c.exited(ev)
	case FromExecutor:
		c.fromExecutor(ev)
	case ExecutorDisconnected:
		c.executorDisconnected(ev.Conn)
	case Probed:
		c.probed(ev)
	case Tick:
	case StopAsked:
		c.stopAsked(ev.Leave)
	}
}

func (c *Core) fire(t *timer) {
	switch t.kind {
	case timerRegister:
		c.registerAgain()
	case timerPing:
		c.pingMissed()
	case timerRetry:
		c.retry(t.task)
	case timerKill:
		c.graceOver(t.task)
	case timerCompletion:
		c.completionOver(t.task)
	case timerExecutor:
		c.executorLate(t.exec)
	case timerOperation:
		c.retryOperation(t.op)
	case timerHealth:
		c.checkDue(t.task, true)
	case timerCheck:
		c.checkDue(t.task, false)
	case timerStop:
		c.stopLate()
	case timerRenew:
		c.askRenewal()
	case timerLease:
		c.leaseOver(t.task)
	}
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

// send sends to the master, if there is a connection.
func (c *Core) send(m message.Message) {
	if c.registration.linked {
		c.emit(Send{Conn: c.registration.conn, Message: m})
	}
}

func (c *Core) note(event string, f offer.FrameworkID, t offer.TaskID, r offer.Reason, text string) {
	c.emit(Note{Event: event, Framework: f, Task: t, Reason: r, Text: text})
}

// Registered reports whether a master has welcomed the slave on the connection at hand.
func (c *Core) Registered() bool { return c.registration.registered }
