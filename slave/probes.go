package slave

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// What an HTTP check takes of an answer, and what a failure may say.
const (
	maxProbeHeader = 64 << 10
	maxProbeBody   = 64 << 10
	maxProbeError  = 200
)

// probers are the probes under way. Who makes them, one goroutine each, ends with Run. The core bounds their number.
type probers struct {
	ctx context.Context // of Run

	mu   sync.Mutex
	ends map[uint64]context.CancelFunc
}

func (p *probers) init(ctx context.Context) { p.ctx, p.ends = ctx, map[uint64]context.CancelFunc{} }

// probe carries out what the core asks, on a goroutine of its own.
func (s *Slave) probe(e *slavecore.Probe) {
	p, id := &s.probers, e.Probe
	ctx, cancel := context.WithTimeout(p.ctx, e.Check().EffectiveTimeout())
	p.mu.Lock()
	p.ends[id] = cancel
	p.mu.Unlock()
	look := *e
	s.wg.Go(func() {
		ev := s.look(ctx, &look)
		cancel()
		p.mu.Lock()
		delete(p.ends, id)
		p.mu.Unlock()
		s.loop.Complete(ev)
	})
}

func (p *probers) end(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cancel := p.ends[id]; cancel != nil {
		cancel()
	}
}

// errNoFault marks what keeps a probe from being made and is not the task's fault.
var errNoFault = errors.New("the check could not be made")

// look makes one probe and returns its answer.
func (s *Slave) look(ctx context.Context, e *slavecore.Probe) slavecore.Probed {
	check := e.Check()
	ev := slavecore.Probed{Probe: e.Probe, Result: offer.CheckResult{Kind: check.Kind}}
	var err error
	switch check.Kind {
	case offer.CheckHTTP:
		ev.Result.Status, err = askHTTP(ctx, e.PID, check)
	case offer.CheckTCP:
		ev.Result.Succeeded, err = askTCP(ctx, e.PID, check)
	default:
		ev.Result.ExitCode, err = s.askCommand(ctx, e.Container, check.Command)
	}
	switch {
	case err == nil:
		ev.Result.Known = true
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		ev.Error = fmt.Sprintf("it took longer than %v", check.EffectiveTimeout())
	default:
		ev.Void = ctx.Err() != nil || errors.Is(err, errNoFault)
		ev.Error = plain(err.Error())
	}
	if ev.Void {
		s.cfg.Logger.Debug("a check could not be made", "framework", e.Framework.ID, "task", e.Task.ID, "err", err)
	}
	if ev.Error != "" {
		ev.Result = offer.CheckResult{Kind: check.Kind}
	}
	return ev
}

// plain is a text, part of which a task may have written, as it can be shown.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > maxProbeError {
		text = strings.ToValidUTF8(text[:maxProbeError], "") + "..."
	}
	return text
}

// dialTask connects to a port of the machine that the task sees: the slave's, or that of its own network.
func dialTask(ctx context.Context, pid int, port uint16) (net.Conn, error) {
	conn, err := dialWithin(ctx, pid, net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	for _, own := range [...]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EADDRNOTAVAIL} {
		if errors.Is(err, own) {
			return nil, fmt.Errorf("%w: %w", errNoFault, err)
		}
	}
	return conn, err
}

func askTCP(ctx context.Context, pid int, check *offer.Check) (connected bool, err error) {
	conn, err := dialTask(ctx, pid, check.Port)
	switch {
	case err == nil:
		_ = conn.Close()
		return true, nil
	case ctx.Err() != nil || errors.Is(err, errNoFault):
		return false, err
	}
	return false, nil // it was refused
}

// askHTTP asks once: a redirect is an answer. Of its body a little is read, so that who answers is not cut off, and nothing is kept.
func askHTTP(ctx context.Context, pid int, check *offer.Check) (status int, err error) {
	scheme, path := check.Scheme, check.Path
	if scheme == "" {
		scheme = "http"
	}
	if path == "" {
		path = "/"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, check.Port, path), nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "meros-check")
	t := &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxProbeHeader,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the task's own, at an address of its own machine
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dialTask(ctx, pid, check.Port) }}
	defer t.CloseIdleConnections()
	answer, err := t.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	_, _ = io.CopyN(io.Discard, answer.Body, maxProbeBody)
	_ = answer.Body.Close()
	return answer.StatusCode, nil
}

// askCommand runs a command in the container. What a signal has ended counts as it does in a shell.
func (s *Slave) askCommand(ctx context.Context, container string, cmd *offer.Command) (code int, err error) {
	execer, ok := s.runner.(isolation.Execer)
	if !ok {
		return 0, errors.New("this slave runs no commands in its containers")
	}
	session, err := execer.Exec(ctx, container, isolation.ExecSpec{Command: *cmd, Quiet: true})
	switch {
	case errors.Is(err, isolation.ErrNotRunning), errors.Is(err, isolation.ErrTooMany):
		return 0, fmt.Errorf("%w: %w", errNoFault, err)
	case err != nil:
		return 0, err
	}
	exit, err := session.Wait()
	switch {
	case errors.Is(err, isolation.ErrSessionLost), errors.Is(err, isolation.ErrNotRunning):
		return 0, fmt.Errorf("%w: %w", errNoFault, err)
	case err != nil:
		return 0, err
	case exit.Signal != 0:
		return 128 + exit.Signal, nil
	}
	return exit.Code, nil
}
