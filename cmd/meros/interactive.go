package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/slave"
)

// A taskOutput brings what a task prints.
type taskOutput interface {
	// start begins, when the task runs; later calls do nothing.
	start(address string, framework offer.FrameworkID, task offer.TaskID)
	// finish returns when all output of the ended task is here, or cannot be had.
	finish()
	// unwanted is closed when nobody takes the output any more.
	unwanted() <-chan struct{}
}

// How long an attachment waits before it tries again, and for the last of the output of a task that has ended.
const (
	attachPause    = 200 * time.Millisecond
	attachPatience = 5 * time.Second
)

// An attachment is to a task that reads what is typed here.
type attachment struct {
	master *masterFlags
	talk   *talk

	once   sync.Once
	ended  chan struct{} // closed when the task has ended
	broken chan struct{}
	wg     sync.WaitGroup
	cancel context.CancelFunc
}

func newAttachment(master *masterFlags, t *talk) *attachment {
	return &attachment{master: master, talk: t, ended: make(chan struct{}), broken: make(chan struct{}), cancel: func() {}}
}

func (a *attachment) start(address string, framework offer.FrameworkID, task offer.TaskID) {
	a.once.Do(func() {
		if address == "" {
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		a.cancel = cancel
		request := slave.SessionRequest{Framework: framework, Task: task, Attach: &isolation.AttachSpec{Stdin: a.talk.in != nil}}
		a.wg.Go(func() { a.stay(ctx, address, request) })
	})
}

// stay attaches again whenever the slave was gone.
func (a *attachment) stay(ctx context.Context, address string, request slave.SessionRequest) {
	for {
		s, err := a.master.openSession(ctx, address, request)
		if err == nil {
			_, err = a.talk.run(s)
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return
		case errors.As(err, new(exitCode)):
			close(a.broken)
			return
		}
		select {
		case <-time.After(attachPause):
		case <-a.ended: // and with it whatever there was to attach to
			return
		}
	}
}

func (a *attachment) finish() {
	close(a.ended)
	late := time.AfterFunc(attachPatience, a.cancel)
	defer late.Stop()
	a.wg.Wait()
	a.cancel()
}

func (a *attachment) unwanted() <-chan struct{} { return a.broken }
