//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// suffer lets a fault happen and ends it.
func (l *lab) suffer(ctx context.Context, f Fault) error {
	if f.Nodes[0] == leader && f.Kind != Storm {
		f.Nodes = []string{l.leader()}
	}
	l.printf("fault %v", f)
	switch f.Kind {
	case Halves, OneWay, LeaderAlone, Loss, Away:
		if err := l.net.filter(f.rules(allAddresses())); err != nil {
			return err
		}
		wait(ctx, f.Hold)
		return l.net.filter(nil)
	case KillLeader, KillMasters, KillSlaves, KillFrameworks:
		l.together(f.Nodes, (*process).kill)
		wait(ctx, f.Hold)
		return l.startAll(f.Nodes)
	case Storm:
		return l.storm(ctx, f)
	case StopLeader, StopSlave, StopFramework, StopLong:
		l.together(f.Nodes, func(p *process) { p.signal(syscall.SIGSTOP) })
		wait(ctx, f.Hold)
		l.together(f.Nodes, func(p *process) { p.signal(syscall.SIGCONT) })
		return nil
	case MoveSlave, MoveMaster:
		return l.move(ctx, f.Nodes[0], f.Hold)
	case FullSlave, FullMaster:
		return l.fill(ctx, f.Nodes[0], f.Hold)
	}
	return fmt.Errorf("lab: nothing is known about %q", f.Kind)
}

func (l *lab) startAll(which []string) error {
	var errs []error
	for _, name := range which {
		errs = append(errs, l.processes[name].start())
	}
	return errors.Join(errs...)
}

// storm kills one node after the other, each for a moment.
func (l *lab) storm(ctx context.Context, f Fault) error {
	if err := l.net.filter(f.rules(allAddresses())); err != nil {
		return err
	}
	for _, name := range f.Nodes {
		if name == leader {
			name = l.leader()
		}
		l.processes[name].kill()
		if err := l.processes[name].start(); err != nil {
			return err
		}
		wait(ctx, f.Hold/time.Duration(len(f.Nodes)))
	}
	return l.net.filter(nil)
}

// leader is the name of the master that leads, by what the masters said a moment ago.
func (l *lab) leader() string {
	leads, _, err := l.observer.masters(l.masterAddresses())
	for _, name := range names("m", masters) {
		if err == nil && l.address(name) == leads {
			return name
		}
	}
	return "m1" // between two leaders: the fault meets one of them, or one that follows
}

// move starts a node again at its other address. Of a master the others are told, as an operator would.
func (l *lab) move(ctx context.Context, name string, down time.Duration) error {
	id := ""
	if name[0] == 'm' {
		_, members, err := l.observer.masters(l.masterAddresses())
		if err != nil {
			return err
		}
		for _, m := range members {
			if m.Address == l.address(name) {
				id = m.ID
			}
		}
	}
	l.processes[name].kill()
	wait(ctx, down)
	l.mu.Lock()
	l.moved[name] = !l.moved[name]
	to := address(name, l.moved[name])
	l.mu.Unlock()
	if err := l.net.move(name, to); err != nil {
		return err
	}
	if err := l.processes[name].start(); err != nil {
		return err
	}
	if name[0] != 'm' {
		return nil
	}
	var others []string
	for _, m := range names("m", masters) {
		if m != name {
			others = append(others, l.address(m))
		}
	}
	return l.tell(ctx, append([]string{"members", "--master", others[0] + "," + others[1], "--add", l.address(name), "--id", id}, l.operator()...))
}

// operator are the flags of a command that the lab itself runs.
func (l *lab) operator() []string { return l.security("observer") }

// tell runs a command of the binary until it succeeds: the masters may have to elect a leader first.
func (l *lab) tell(ctx context.Context, line []string) error {
	var err error
	for limit := time.Now().Add(l.cfg.Bound); time.Now().Before(limit) && ctx.Err() == nil; wait(ctx, 500*time.Millisecond) {
		if err = l.net.bridge.do(func() error { return tool("", l.binary, line...) }); err == nil {
			return nil
		}
	}
	return err
}

// fill leaves no byte of a node's small disk free for a while. Its program may end for that; a second later it is started again.
func (l *lab) fill(ctx context.Context, name string, hold time.Duration) error {
	l.processes[name].excuse(true)
	if name[0] == 's' {
		l.troubles = append(l.troubles, trouble{host: name, from: time.Now()})
	}
	filler := l.path(name, "filler")
	limit := time.Now().Add(hold)
	for time.Now().Before(limit) && ctx.Err() == nil { // what others free is filled again
		if err := fillUp(filler); err != nil {
			return err
		}
		wait(ctx, 200*time.Millisecond)
	}
	return os.Remove(filler)
}

// fillUp appends to a file until the disk is full.
func fillUp(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		switch n, err := f.Write(make([]byte, size)); {
		case errors.Is(err, syscall.ENOSPC):
			if n == 0 {
				size /= 2
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// forgive ends the troubles that a fault has brought.
func (l *lab) forgive() {
	for i := range l.troubles {
		if l.troubles[i].to.IsZero() {
			l.troubles[i].to = time.Now()
		}
	}
	for _, p := range l.processes {
		p.excuse(false)
	}
}
