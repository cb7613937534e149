package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

// A cluster is three masters and some slaves with simulated executors, all in this process and real.
type cluster struct {
	dir       string
	masters   *masters
	executors []*executors
	cancel    context.CancelFunc
	wg        sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

// startCluster returns once there is a leader and every slave is registered. Stop it.
func startCluster(ctx context.Context, slaves int, resources string, via network, logger *slog.Logger) (w *cluster, err error) {
	w = &cluster{}
	ctx, w.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.stop())
		}
	}()
	if w.dir, err = os.MkdirTemp("", "meros-bench-"); err != nil {
		return w, err
	}
	if w.masters, err = startMasters(ctx, w.dir, 3, logger, via.listener); err != nil {
		return w, err
	}
	if _, err = w.masters.awaitLeader(ctx); err != nil {
		return w, err
	}
	return w, w.startSlaves(ctx, w.masters.addresses, slaves, resources, via, logger)
}

// startSlaves returns once every slave is registered.
func (w *cluster) startSlaves(ctx context.Context, masters []string, slaves int, resources string, via network, logger *slog.Logger) error {
	registered := make(chan struct{}, slaves)
	for i := range slaves {
		x := newExecutors()
		w.executors = append(w.executors, x)
		s, err := slave.New(slave.Config{WorkDir: filepath.Join(w.dir, fmt.Sprintf("slave-%d", i)), Masters: masters,
			Listen: "none", Hostname: fmt.Sprintf("node-%d", i), Resources: resource.Must(resources), Runner: x, Network: via,
			Logger: logger.With("node", fmt.Sprintf("slave-%d", i)),
			Observer: slave.Observer{Registered: func(offer.SlaveID) {
				select {
				case registered <- struct{}{}:
				default:
				}
			}}})
		if err != nil {
			return err
		}
		w.wg.Go(func() { w.keep(s.Run(ctx)) })
	}
	for range slaves {
		select {
		case <-registered:
		case <-ctx.Done():
			return fmt.Errorf("slaves did not register: %w", context.Cause(ctx))
		}
	}
	return nil
}

func (w *cluster) keep(err error) {
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.errs = append(w.errs, err)
	}
}

// session runs a framework until the cluster stops; done gets what it ends with.
func (w *cluster) session(ctx context.Context, cfg framework.Config, scheduler framework.Scheduler) (done <-chan error, err error) {
	s, err := framework.New(cfg, scheduler)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := w.cancel
	w.cancel = func() { cancel(); stop() }
	ended := make(chan error, 1)
	w.wg.Go(func() {
		err := s.Run(ctx)
		w.keep(err)
		ended <- err
	})
	return ended, nil
}

// awaitForgotten waits until the slaves have forgotten this many tasks, and fails if they have others.
func (w *cluster) awaitForgotten(ctx context.Context, want int) error {
	for {
		var have, left int
		var changed []<-chan struct{}
		for _, x := range w.executors {
			f, l, c := x.count()
			have, left = have+f, left+l
			changed = append(changed, c)
		}
		switch {
		case have+left > want:
			return fmt.Errorf("%d tasks were started, and %d were launched", have+left, want)
		case have == want:
			return nil
		}
		for i, x := range w.executors {
			if _, l, _ := x.count(); l == 0 {
				continue
			}
			select {
			case <-changed[i]:
			case <-ctx.Done():
				return fmt.Errorf("%d of %d tasks are not forgotten: %w", left, want, context.Cause(ctx))
			}
			break
		}
	}
}

// stop ends everything and removes what it has written.
func (w *cluster) stop() error {
	w.cancel()
	w.wg.Wait()
	errs := w.errs
	if w.masters != nil {
		errs = append(errs, w.masters.stop())
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return joined(errs)
}
