package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/plainraft"
)

// disks are file systems of their own, in files, whose writes can be made to hang as those of a disk that does not answer do.
type disks struct{ dirs []string }

const diskBytes = 64 << 20

// command runs a tool of the system.
func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %.200s", name, err, out)
	}
	return nil
}

// mountDisks makes n of them below dir, or says what this machine lacks. Unmount them.
func mountDisks(dir string, n int) (d *disks, err error) {
	d = &disks{}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.unmount())
		}
	}()
	for _, at := range soloDirs(dir, n) {
		image := at + ".img"
		if err := os.WriteFile(image, nil, 0o600); err != nil {
			return d, err
		}
		if err := errors.Join(os.Truncate(image, diskBytes), os.Mkdir(at, 0o700)); err != nil {
			return d, err
		}
		if err := command("mkfs.ext4", "-q", "-F", image); err != nil {
			return d, err
		}
		if err := command("mount", "-o", "loop", image, at); err != nil {
			return d, err
		}
		d.dirs = append(d.dirs, at)
		if err := errors.Join(command("fsfreeze", "-f", at), command("fsfreeze", "-u", at)); err != nil {
			return d, err
		}
	}
	return d, nil
}

func (d *disks) hang(i int) error   { return command("fsfreeze", "-f", d.dirs[i]) }
func (d *disks) answer(i int) error { return command("fsfreeze", "-u", d.dirs[i]) }

// folders makes a folder on each disk.
func (d *disks) folders(name string) ([]string, error) {
	var out []string
	for _, at := range d.dirs {
		out = append(out, filepath.Join(at, name))
		if err := os.Mkdir(out[len(out)-1], 0o700); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unmount waits a while for files that a goroutine still has open, whose disk has hung.
func (d *disks) unmount() error {
	var errs []error
	for _, at := range d.dirs {
		err := command("umount", at)
		for begun := time.Now(); err != nil && time.Since(begun) < 20*time.Second; err = command("umount", at) {
			time.Sleep(100 * time.Millisecond)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hungDisks measures how long it takes from the moment at which the leader's disk hangs to a write that another has committed.
func (o *takeoverOptions) hungDisks(ctx context.Context, r *report) (err error) {
	if o.hung == 0 {
		return nil
	}
	dir, err := os.MkdirTemp("", "meros-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	d, err := mountDisks(dir, 3)
	if err != nil {
		r.print("hung disk: not measured: a file system that can be frozen could not be made, which needs root and loop devices: %v", err)
		return nil
	}
	defer func() { err = errors.Join(err, d.unmount()) }()
	var took []time.Duration
	for i := range o.hung {
		t, err := hangRaft(ctx, r, d, fmt.Sprint("round-", i))
		if err != nil {
			return err
		}
		took = append(took, t)
		r.say("hung disk: round %d: %.0f ms", i+1, milliseconds(t))
	}
	recovered, after, err := o.hangPlain(ctx, d)
	if err != nil {
		return fmt.Errorf("plain: %w", err)
	}
	if recovered {
		r.print("hung disk: plain hashicorp/raft: another leader committed a write after %.0f ms", milliseconds(after))
	} else {
		r.print("hung disk: plain hashicorp/raft: no other leader in %v", o.patience)
	}
	r.set("hung_disk_ms", milliseconds(slices.Max(took)))
	return nil
}

// hangRaft starts three electors in this process, hangs the leader's disk, and waits for a write of another. At the end it lets the disk
// answer again.
func hangRaft(ctx context.Context, r *report, d *disks, name string) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("no other leader in two minutes"))
	defer cancel()
	dirs, err := d.folders(name)
	if err != nil {
		return 0, err
	}
	type news struct {
		node int
		at   time.Time
	}
	wrote := make(chan news, 64)
	ended := make([]chan error, len(dirs))
	var listeners []net.Listener
	var peers []election.Peer
	for range dirs {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		defer ln.Close()
		listeners, peers = append(listeners, ln), append(peers, election.Peer{Address: ln.Addr().String()})
	}
	run, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	for i, dir := range dirs {
		e, err := newElector("", dir, peers)
		if err != nil {
			return 0, err
		}
		ended[i] = make(chan error, 1)
		wg.Go(func() {
			ended[i] <- runElector(run, e, listeners[i], r.verbose, func(uint64) {
				wrote <- news{i, time.Now()}
			}, func() {})
		})
	}
	next := func(not int) (news, error) {
		for {
			select {
			case n := <-wrote:
				if n.node != not {
					return n, nil
				}
			case <-ctx.Done():
				return news{}, context.Cause(ctx)
			}
		}
	}
	leader, err := next(-1)
	if err != nil {
		return 0, err
	}
	sleep(ctx, time.Second) // both followers have heard from it
	for len(wrote) > 0 {
		leader = <-wrote
	}
	hung := time.Now()
	if err := d.hang(leader.node); err != nil {
		return 0, err
	}
	second, err := next(leader.node)
	if err != nil {
		return 0, errors.Join(err, d.answer(leader.node))
	}
	var stalled error
	select {
	case stalled = <-ended[leader.node]:
		ended[leader.node] <- stalled
	case <-ctx.Done():
		stalled = context.Cause(ctx)
	}
	if err := d.answer(leader.node); err != nil {
		return 0, err
	}
	if !errors.Is(stalled, election.ErrDiskStalled) {
		return 0, fmt.Errorf("the master whose disk hung ended with: %w", errors.Join(stalled, errors.New("not election.ErrDiskStalled")))
	}
	stop()
	for i := range ended {
		if i != leader.node {
			err = errors.Join(err, <-ended[i])
		}
	}
	return second.at.Sub(hung), err
}

// hangPlain does the same to plain hashicorp/raft, as long as patience lasts.
func (o *takeoverOptions) hangPlain(ctx context.Context, d *disks) (recovered bool, after time.Duration, err error) {
	dirs, err := d.folders("plain")
	if err != nil {
		return false, 0, err
	}
	nodes, err := plainraft.Start(dirs)
	if err != nil {
		return false, 0, err
	}
	leads := func(not int) int {
		return slices.IndexFunc(nodes, func(n *plainraft.Node) bool { return n.Leads() && (not < 0 || n != nodes[not]) })
	}
	leader := -1
	for ; ctx.Err() == nil && (leader < 0 || nodes[leader].Apply([]byte("write")) != nil); leader = leads(-1) {
		sleep(ctx, writeEvery)
	}
	if ctx.Err() != nil {
		return false, 0, errors.Join(ctx.Err(), plainraft.Stop(nodes))
	}
	sleep(ctx, time.Second)
	hung := time.Now()
	if err := d.hang(leader); err != nil {
		return false, 0, errors.Join(err, plainraft.Stop(nodes))
	}
	write := make(chan struct{})
	go func() {
		defer close(write)
		_ = nodes[leader].Apply([]byte("write")) // hangs, until the disk answers
	}()
	for !recovered && time.Since(hung) < o.patience && ctx.Err() == nil {
		if i := leads(leader); i >= 0 && nodes[i].Apply([]byte("write")) == nil {
			recovered, after = true, time.Since(hung)
		}
		sleep(ctx, writeEvery)
	}
	err = d.answer(leader)
	<-write
	return recovered, after, errors.Join(err, plainraft.Stop(nodes))
}
