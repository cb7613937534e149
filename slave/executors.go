package slave

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

const (
	executorFolder    = ".executors" // in RuntimeDir; a container with an image is shown it, and with it the socket of the slave's next run
	executorSocket    = "sock"
	executorsInImage  = "/run/meros"     // where it is shown
	maxExecutors      = 4096             // connections at once
	subscribeDeadline = 10 * time.Second // for an executor's first message
)

// executorServer is where custom executors connect: a socket that any user of the machine can reach. Who an executor is, its token
// says.
type executorServer struct {
	path   string
	folder string // that the path is in; empty if the slave did not make it
	ln     net.Listener

	mu    sync.Mutex
	next  uint64
	conns map[uint64]*transport.Conn
}

func (x *executorServer) open(s *Slave) error {
	x.conns = map[uint64]*transport.Conn{}
	if x.ln = s.cfg.Executors; x.ln != nil {
		x.path = x.ln.Addr().String()
		return nil
	}
	if err := makeDirs(s.cfg.RuntimeDir); err != nil {
		return fmt.Errorf("slave: RuntimeDir: %w", err)
	}
	// In a folder that is open to all, another user must not be able to put a socket in the place of ours.
	st, err := os.Lstat(s.cfg.RuntimeDir)
	if err != nil || !st.IsDir() || st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("slave: RuntimeDir %s must be a folder that only its owner can write to", s.cfg.RuntimeDir)
	}
	if owner, ok := ownerOf(st); ok && owner != os.Geteuid() {
		return fmt.Errorf("slave: RuntimeDir %s belongs to user %d (allowed: user %d)", s.cfg.RuntimeDir, owner, os.Geteuid())
	}
	x.folder = filepath.Join(s.cfg.RuntimeDir, executorFolder)
	if err := makeDirs(x.folder); err != nil {
		return fmt.Errorf("slave: RuntimeDir: %w", err)
	}
	x.path = filepath.Join(x.folder, executorSocket)
	_ = os.Remove(x.path)
	if x.ln, err = net.Listen("unix", x.path); err != nil {
		return fmt.Errorf("slave: socket for executors: %w", err)
	}
	if err := os.Chmod(x.path, 0o666); err != nil {
		return fmt.Errorf("slave: socket for executors: %w", errors.Join(err, x.ln.Close()))
	}
	return nil
}

// seenBy is the socket as an executor finds it.
func (x *executorServer) seenBy(e *offer.Executor) string {
	if e.Image != nil && x.folder != "" {
		return path.Join(executorsInImage, executorSocket)
	}
	return x.path
}

// show lets an executor with a root folder of its own find the socket.
func (x *executorServer) show(spec *isolation.Spec, plan *isolation.Plan) {
	if spec.Executor != "" && spec.Image != nil && x.folder != "" {
		plan.Mounts = append(plan.Mounts, isolation.Mount{Field: "executor", Target: executorsInImage, Source: x.folder, ReadOnly: true})
	}
}

func (x *executorServer) close() { _ = x.ln.Close() }

func (x *executorServer) get(n uint64) *transport.Conn {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.conns[n]
}

func (x *executorServer) add(c *transport.Conn) (uint64, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.conns) >= maxExecutors {
		return 0, false
	}
	x.next++
	x.conns[x.next] = c
	return x.next, true
}

func (x *executorServer) remove(n uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.conns, n)
}

// cut ends a connection after what was sent on it.
func (x *executorServer) cut(n uint64, r *offer.Refusal) {
	c := x.get(n)
	switch {
	case c == nil:
	case r != nil:
		c.Refuse(r)
	default:
		c.CloseAfterFlush(farewell)
	}
}

// serveExecutors serves until ctx ends.
func (s *Slave) serveExecutors(ctx context.Context) error {
	mux := transport.NewMux(s.executors.ln, transport.MuxConfig{Logger: s.cfg.Logger})
	ln := mux.Listener(transport.Node)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serveExecutor(ctx, nc) })
		}
	})
	return mux.Run(ctx)
}

func (s *Slave) serveExecutor(ctx context.Context, nc net.Conn) {
	conn := transport.NewConn(nc, transport.ConnConfig{})
	defer conn.Close()
	n, ok := s.executors.add(conn)
	if !ok {
		conn.Refuse(offer.Refuse(offer.ReasonLimitReached, fmt.Sprintf("slave: %d executors are connected", maxExecutors)))
		<-conn.Done()
		return
	}
	defer s.executors.remove(n)
	stop := context.AfterFunc(ctx, func() { conn.CloseAfterFlush(farewell) })
	defer stop()
	silent := time.AfterFunc(subscribeDeadline, func() {
		conn.Refuse(offer.Refuse(offer.ReasonUnauthenticated, "slave: the executor did not subscribe in time"))
	})
	defer silent.Stop()
	told := false
	for {
		envs, err := conn.Receive(nil)
		if err != nil {
			break
		}
		silent.Stop()
		told = true
		events := make([]slavecore.Event, len(envs))
		for i, env := range envs {
			events[i] = slavecore.FromExecutor{Conn: n, Message: env.Message}
		}
		if s.loop.PostAll(ctx, events) != nil {
			break
		}
	}
	if told {
		_ = s.loop.Post(ctx, slavecore.ExecutorDisconnected{Conn: n})
	}
}
