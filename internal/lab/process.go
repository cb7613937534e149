//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is one node's program. Like a service of the machine it is started again a second after it has ended by itself; unless it had
// reason to, that is noted as a fault of the program.
type process struct {
	name    string
	space   space
	log     string
	command func() []string // at each start, because addresses change
	blame   func(string)    // told of an end that had no reason

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd has ended
	wanted  bool
	excused bool
	wg      sync.WaitGroup
}

const restartAfter = time.Second

// start starts the program and looks after it until stop or kill.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = true
	return p.launch()
}

// launch starts the program once. The lock is held.
func (p *process) launch() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	line := p.command()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = filepath.Dir(p.log)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "GOTRACEBACK=all")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a lab that is killed leaves as little as can be
	if err := p.space.do(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.ended = cmd, make(chan struct{})
	p.wg.Add(1)
	go p.attend(cmd, p.ended)
	return nil
}

func (p *process) attend(cmd *exec.Cmd, ended chan struct{}) {
	defer p.wg.Done()
	_ = cmd.Wait()
	close(ended)
	p.mu.Lock()
	byItself, excused := p.wanted && p.cmd == cmd, p.excused // it may have been killed, and another started since
	p.mu.Unlock()
	if !byItself {
		return
	}
	if !excused {
		p.blame(fmt.Sprintf("%s has ended by itself (%v): %s", p.name, cmd.ProcessState, p.lastLine()))
	}
	time.Sleep(restartAfter)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.cmd == cmd {
		if err := p.launch(); err != nil {
			p.blame(err.Error())
		}
	}
}

func (p *process) lastLine() string {
	lines := strings.Split(strings.TrimSpace(p.tail(4000)), "\n")
	return lines[len(lines)-1]
}

func (p *process) tail(n int) string {
	text, _ := os.ReadFile(p.log)
	return string(bytes.TrimSpace(text[max(0, len(text)-n):]))
}

// kill is kill -9; the program is not there any more when it returns.
func (p *process) kill() { p.end(syscall.SIGKILL, 0) }

// stop asks the program to end, and kills it if it has not after a while: false.
func (p *process) stop(patience time.Duration) bool { return p.end(syscall.SIGTERM, patience) }

func (p *process) end(s syscall.Signal, patience time.Duration) (itself bool) {
	p.mu.Lock()
	p.wanted = false
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if cmd == nil {
		return true
	}
	_ = cmd.Process.Signal(s)
	if patience > 0 {
		select {
		case <-ended:
			return cmd.ProcessState.ExitCode() == 0
		case <-time.After(patience):
			_ = cmd.Process.Kill()
		}
	}
	<-ended
	return false
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s)
}

// excuse says whether the program may end by itself from now on.
func (p *process) excuse(may bool) {
	p.mu.Lock()
	p.excused = may
	p.mu.Unlock()
}
