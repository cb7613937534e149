package slave

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/runloop"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/image"
	"github.com/meros-project/meros/offer"
)

// A Slave runs tasks for the frameworks of a cluster. Its methods are safe for concurrent use.
type Slave struct {
	cfg     Config
	used    atomic.Bool
	ready   chan struct{}
	id      atomic.Value // offer.SlaveID
	handler http.Handler
	serving atomic.Pointer[string] // the folder that the handler serves; nil while the slave does not run
	stats   stats

	// What follows belongs to Run.
	folder     *folder
	journal    *journal
	core       *slavecore.Core
	loop       *runloop.Loop[slavecore.Event, slavecore.Effect]
	runner     isolation.Runner
	meter      isolation.Meter // nil: what containers use is not measured
	metering   sync.Mutex
	listener   net.Listener
	detector   election.Detector
	dialer     transport.Dialer
	master     link
	executors  executorServer
	live       liveContainers
	sessions   sessionCounts
	sandboxes  sandboxRoot
	leases     leaseClock
	collector  collector
	images     *image.Isolator  // nil if tasks cannot have images
	holder     *cgroup.Isolator // holds what the slave starts for its own ends; nil if nothing does
	probers    probers
	registered bool
	renewals   uint64        // how often the journal will have been rewritten when all that was asked for is done
	writes     []journalItem // checkpoints that wait for the end of a batch of effects
	out        []outgoing
	stopped    error // what Stop said
	wg         sync.WaitGroup
}

// New returns a Slave that has opened nothing and started nothing yet. It fails if Config.Validate does.
func New(cfg Config) (*Slave, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Slave{cfg: cfg.withDefaults(), ready: make(chan struct{})}
	s.id.Store(offer.SlaveID(""))
	s.collector.init()
	s.handler = s.newHandler()
	return s, nil
}

// Ready is closed once a master has welcomed the slave.
func (s *Slave) Ready() <-chan struct{} { return s.ready }

// ID is the id that the master has assigned, empty before the first registration.
func (s *Slave) ID() offer.SlaveID { return s.id.Load().(offer.SlaveID) }

// Handler serves /files/read, /files/browse, /files/download, /files/follow, /containers (what each uses, also as /monitor/statistics),
// SessionPath where Config.Sessions allows it, and /health, for a program that has an HTTP server of its own. The parameter
// path names what is in a sandbox: /frameworks/FRAMEWORK/tasks/TASK/stdout, or executors/EXECUTOR. It answers 503 while the slave does not
// run, and asks nobody who they are.
func (s *Slave) Handler() http.Handler { return s.handler }

// Stats counts what a slave has done since Run.
type Stats struct {
	Started, Ended uint64 // containers
	Checkpoints    uint64 // that were asked for
	Flushes        uint64 // of the journal: many checkpoints share one
}

type stats struct{ started, ended, checkpoints, flushes atomic.Uint64 }

// Stats returns the counters.
func (s *Slave) Stats() Stats {
	return Stats{Started: s.stats.started.Load(), Ended: s.stats.ended.Load(), Checkpoints: s.stats.checkpoints.Load(),
		Flushes: s.stats.flushes.Load()}
}

// errStop ends the loop when the core has said Stop.
var errStop = errors.New("stop")

// Run runs the slave until ctx ends, and returns when its last goroutine has ended. It returns nil then: tasks go on under their
// supervisors, unless Config.Leave is set. An error says that the slave cannot go on: its folder cannot be used, the disk has failed, or
// the master has turned it away for good (an offer.Refusal). Run may be called once.
func (s *Slave) Run(ctx context.Context) error {
	if !s.used.CompareAndSwap(false, true) {
		return errUsed
	}
	if s.cfg.Listener != nil {
		defer s.cfg.Listener.Close()
	}
	if s.cfg.Executors != nil {
		defer s.cfg.Executors.Close()
	}
	closers, err := s.open(ctx)
	defer func() {
		for i := len(closers) - 1; i >= 0; i-- {
			closers[i]()
		}
	}()
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	s.serving.Store(&s.folder.dir)
	defer s.serving.Store(nil)
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	s.probers.init(inner)
	s.wg.Go(s.journal.run)
	s.wg.Go(func() { s.connect(inner) })
	s.wg.Go(func() { s.collect(inner) })
	for _, serve := range []func(context.Context) error{s.serveHTTP, s.serveExecutors} {
		s.wg.Go(func() {
			if err := serve(inner); err != nil {
				cancel(err)
			}
		})
	}
	stop := context.AfterFunc(ctx, func() { s.loop.Complete(slavecore.StopAsked{Leave: s.cfg.Leave}) })
	defer stop()
	s.loop.Complete(slavecore.Tick{})
	err = s.loop.Run(inner)
	switch {
	case errors.Is(err, errStop):
		err = s.stopped
	case err == nil && inner.Err() != nil:
		err = context.Cause(inner)
	}
	s.master.finish()
	cancel(nil)
	err = errors.Join(err, s.runner.Close(), s.journal.close(true))
	s.wg.Wait()
	return err
}

// open opens everything that Run needs. It returns what closes it again, also with an error.
func (s *Slave) open(ctx context.Context) (closers []func(), err error) {
	if s.folder, err = openFolder(ctx, s.cfg.WorkDir); err != nil {
		return nil, err
	}
	closers = append(closers, func() { _ = s.folder.close() })
	if s.cfg, err = s.cfg.fromMachine(); err != nil {
		return closers, err
	}
	if s.listener, err = s.listen(ctx); err != nil {
		return closers, err
	}
	if s.listener != nil {
		closers = append(closers, func() { _ = s.listener.Close() })
	}
	s.dialer = transport.Dialer{Network: s.cfg.Network, TLS: s.cfg.TLS, Insecure: s.cfg.Insecure}
	s.detector = s.cfg.Detector
	if s.detector == nil {
		d := transport.Addresses(s.cfg.Masters, s.dialer, s.cfg.Logger)
		s.detector = d
		closers = append(closers, func() { _ = d.Close() })
	}
	close, err := s.recover()
	closers = append(closers, close...)
	if err != nil {
		return closers, err
	}
	return closers, nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *Slave) listen(ctx context.Context) (net.Listener, error) {
	ln := s.cfg.Listener
	if ln == nil {
		if s.cfg.Listen == noListener {
			return nil, nil
		}
		network := s.cfg.Network
		if network == nil {
			network = transport.TCP()
		}
		var err error
		for try := 0; ; try++ {
			if ln, err = network.Listen(ctx, s.cfg.Listen); err == nil {
				break
			}
			// As with the folder's lock, what a killed slave was about to start may hold the port for a moment.
			if try == 10 || !errors.Is(err, syscall.EADDRINUSE) || ctx.Err() != nil {
				return nil, fmt.Errorf("slave: listen on %s: %w", s.cfg.Listen, err)
			}
			pause(ctx, 50*time.Millisecond)
		}
	}
	if !s.secureListener() && !s.cfg.Insecure {
		if err := transport.CheckPlain(ln.Addr()); err != nil {
			_ = ln.Close()
			return nil, fmt.Errorf("slave: %w", err)
		}
	}
	return ln, nil
}
