package executor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

// The pause between two attempts to reach the slave.
const (
	minPause = 20 * time.Millisecond
	maxPause = time.Second
)

// orders bounds what waits for the Executor; when it is full, the slave waits.
const orders = 1024

// unix is the network of the slave's socket.
type unix struct{}

func (unix) Listen(ctx context.Context, path string) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "unix", path)
}

func (unix) Dial(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// Run connects to the slave and serves ex until ctx ends, the slave asks for a shutdown (nil both times), ex fails, or the slave is lost.
// A panic of ex is an error too. All goroutines of its own have ended when it returns.
func Run(ctx context.Context, cfg Config, ex Executor) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	s := &Session{cfg: cfg, tasks: map[offer.TaskID]*task{}, acked: make(chan struct{})}
	outer := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	// The connection outlives the executor's own context for as long as it takes to deliver its last words.
	link, unlink := context.WithCancel(context.WithoutCancel(ctx))
	queue := make(chan message.Message, orders)
	var wg sync.WaitGroup
	var lost error
	wg.Go(func() {
		lost = s.stay(link, queue)
		cancel(lost)
	})
	err := s.serve(ctx, ex, queue)
	if err == nil && outer.Err() == nil {
		err = context.Cause(ctx)
	}
	cancel(nil)
	if errors.Is(err, errShutdown) {
		err = nil
		s.deliver(link)
	}
	unlink()
	wg.Wait()
	return err
}

// serve hands orders to ex, one at a time.
func (s *Session) serve(ctx context.Context, ex Executor, queue <-chan message.Message) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-queue:
			if err := s.handle(ctx, ex, m); err != nil {
				return err
			}
		}
	}
}

// deliver waits until the slave has everything, or the grace is over.
func (s *Session) deliver(ctx context.Context) {
	t := time.NewTimer(s.cfg.ShutdownGrace)
	defer t.Stop()
	for {
		n, changed := s.waiting()
		if n == 0 {
			return
		}
		select {
		case <-changed:
		case <-t.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// stay keeps a connection to the slave. It returns when ctx ends, or why there will be none any more.
func (s *Session) stay(ctx context.Context, queue chan<- message.Message) error {
	last := time.Now()
	pause := minPause
	for {
		welcomed, err := s.attend(ctx, queue)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, &offer.Refusal{Reason: offer.ReasonUnauthenticated}), errors.Is(err, &offer.Refusal{Reason: offer.ReasonFrameworkConflict}):
			return fmt.Errorf("executor: the slave has refused: %w", err)
		case welcomed && s.cfg.NoCheckpoint:
			return fmt.Errorf("%w, and without checkpoints it is not waited for: %w", ErrSlaveLost, err)
		case welcomed:
			last, pause = time.Now(), minPause
		case time.Since(last) > s.cfg.RecoveryTimeout:
			return fmt.Errorf("%w within %v: %w", ErrSlaveLost, s.cfg.RecoveryTimeout, err)
		}
		s.cfg.Logger.Debug("not connected to the slave", "err", err)
		t := time.NewTimer(pause/2 + rand.N(pause))
		pause = min(2*pause, maxPause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
	}
}

// attend serves one connection. welcomed says that the slave has let the executor in.
func (s *Session) attend(ctx context.Context, queue chan<- message.Message) (welcomed bool, err error) {
	nc, err := transport.Dialer{Network: unix{}}.Dial(ctx, s.cfg.Socket, transport.Node)
	if err != nil {
		return false, err
	}
	conn := transport.NewConn(nc, transport.ConnConfig{})
	stop := context.AfterFunc(ctx, func() { conn.CloseAfterFlush(time.Second) })
	defer stop()
	defer func() {
		s.disconnected()
		if ctx.Err() != nil {
			<-conn.Done() // what was sent goes out
		}
		_ = conn.Close()
	}()
	if err := s.subscribe(conn); err != nil {
		return false, err
	}
	for {
		envs, err := conn.Receive(nil)
		if err != nil {
			return welcomed, err
		}
		for _, e := range envs {
			switch m := e.Message.(type) {
			case *message.ExecutorSubscribed:
				welcomed = true
				s.welcomed(m)
			case *message.ExecutorAck:
				s.acknowledged(m)
			default:
				select {
				case queue <- m:
				case <-ctx.Done():
					return welcomed, ctx.Err()
				}
			}
		}
	}
}
