package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

// childArgument begins the first argument of a child: this program again, as one master or one slave.
const childArgument = "-child="

const slaveResources = "cpus:2;mem:512;disk:1024;ports:[31000-32000]"

// A childSpec is what a child is told, as JSON in its second argument.
type childSpec struct {
	Name    string
	Dir     string
	Masters []string
}

// runChild is the main function of a child. Its listener is file descriptor 3; it stops when its standard input, which the parent holds,
// ends.
func runChild(role string) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := child(ctx, role, log); err != nil {
		log.Error("stopped", "err", err)
		os.Exit(1)
	}
}

func child(ctx context.Context, role string, log *slog.Logger) error {
	var spec childSpec
	if len(os.Args) != 3 {
		return fmt.Errorf("%d arguments, want 2", len(os.Args)-1)
	}
	if err := json.Unmarshal([]byte(os.Args[2]), &spec); err != nil {
		return err
	}
	ln, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		return err
	}
	if role == "slave" {
		s, err := slave.New(slave.Config{Masters: spec.Masters, Listener: ln, WorkDir: spec.Dir, Hostname: spec.Name,
			Resources: resource.Must(slaveResources), Logger: log})
		if err != nil {
			return err
		}
		return s.Run(ctx)
	}
	var peers []election.Peer
	for _, address := range spec.Masters {
		peers = append(peers, election.Peer{Address: address})
	}
	elector, err := raft.New(raft.Config{Dir: spec.Dir, Bootstrap: peers})
	if err != nil {
		return err
	}
	m, err := master.New(master.Config{Election: elector, Listener: ln, Logger: log})
	if err != nil {
		return err
	}
	return m.Run(ctx)
}

// processes are the children.
type processes struct {
	masters []string // addresses
	died    chan error

	mu    sync.Mutex
	byKey map[string]*exec.Cmd // masters by address, slaves by name
	asked map[*exec.Cmd]bool   // those that were ended on purpose
	stdin []io.Closer
	wg    sync.WaitGroup
}

// start starts the masters, then the slaves. What it returns must be stopped, also after an error.
func start(dir string) (*processes, error) {
	p := &processes{died: make(chan error, masters+slaves), byKey: map[string]*exec.Cmd{}, asked: map[*exec.Cmd]bool{}}
	listeners := make([]*net.TCPListener, masters+slaves)
	for i := range listeners {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer ln.Close()
		listeners[i] = ln.(*net.TCPListener)
		if i < masters {
			p.masters = append(p.masters, ln.Addr().String())
		}
	}
	for i, ln := range listeners {
		role, name, key := "master", fmt.Sprintf("master-%d", i+1), ln.Addr().String()
		if i >= masters {
			role, name = "slave", fmt.Sprintf("slave-%d", i-masters+1)
			key = name
		}
		if err := p.startOne(role, key, ln, childSpec{Name: name, Dir: filepath.Join(dir, name), Masters: p.masters}); err != nil {
			return p, fmt.Errorf("start %s: %w", name, err)
		}
	}
	return p, nil
}

func (p *processes) startOne(role, key string, ln *net.TCPListener, spec childSpec) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(spec.Dir, 0o700); err != nil {
		return err
	}
	told, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	log, err := os.Create(spec.Dir + ".log")
	if err != nil {
		return err
	}
	defer log.Close()
	socket, err := ln.File()
	if err != nil {
		return err
	}
	defer socket.Close()
	cmd := exec.Command(self, childArgument+role, string(told))
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{socket}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.mu.Lock()
	p.byKey[key] = cmd
	p.stdin = append(p.stdin, stdin)
	p.mu.Unlock()
	p.wg.Go(func() {
		err := cmd.Wait()
		p.mu.Lock()
		asked := p.asked[cmd]
		p.mu.Unlock()
		if !asked {
			p.died <- fmt.Errorf("%s ended by itself (%v): see %s", spec.Name, err, log.Name())
		}
	})
	return nil
}

func (p *processes) masterAddresses() []string { return p.masters }

// kill ends one child with SIGKILL.
func (p *processes) kill(key string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.byKey[key]
	if cmd == nil {
		return fmt.Errorf("kill %s: no such process", key)
	}
	p.asked[cmd] = true
	return cmd.Process.Kill()
}

// stop asks every child to end, by closing its standard input, and makes sure of it after ten seconds.
func (p *processes) stop() {
	p.mu.Lock()
	for _, cmd := range p.byKey {
		p.asked[cmd] = true
	}
	for _, in := range p.stdin {
		in.Close()
	}
	p.mu.Unlock()
	gone := make(chan struct{})
	go func() {
		p.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		p.mu.Lock()
		for _, cmd := range p.byKey {
			_ = cmd.Process.Kill()
		}
		p.mu.Unlock()
		<-gone
	}
}
