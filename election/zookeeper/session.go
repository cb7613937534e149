package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

const (
	retryPause   = 20 * time.Millisecond
	longestPause = 500 * time.Millisecond
	firstSilence = 2 * time.Second  // before the log says that an ensemble does not answer
	silence      = 10 * time.Second // between two lines that say so
	maxPacket    = 8 << 20
	wantsSASL    = "unknown error: -124" // the library's words for a code that it does not know
)

// errSession says that the session has ended: expired, or closed.
var errSession = errors.New("zookeeper: the session has ended")

// A session is one session with the ensemble: the connections change, its ephemeral nodes stay. When it has expired another one is made.
type session struct {
	conn    *zk.Conn
	dialer  *dialer
	address Address
	log     *slog.Logger
	base    time.Time

	up      chan struct{} // closed when a server has accepted it
	known   chan struct{} // closed when the server knows who this is: before that nothing else is asked
	ended   chan struct{} // closed when it has expired or is being closed
	leading atomic.Bool   // an end of the context is the leader's to deal with
	lease   atomic.Int64  // nanoseconds after base until which it cannot have expired
	tasks   sync.WaitGroup

	mu      sync.Mutex
	id      int64
	expired bool
	over    bool
	closing sync.Once
	events  <-chan zk.Event
}

// quiet hands the library's remarks to the log.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, args ...any) {
	q.log.Debug("zookeeper client", "says", strings.TrimSpace(fmt.Sprintf(format, args...)))
}

// openSession begins to look for a server. The session must be closed.
func openSession(a Address, timeout time.Duration, dial func(context.Context, string) (net.Conn, error), secure *tls.Config, log *slog.Logger) (*session, error) {
	s := &session{
		dialer: newDialer(dial, secure, max(timeout/3, time.Second)), address: a, log: log, base: time.Now(),
		up: make(chan struct{}), known: make(chan struct{}), ended: make(chan struct{}),
	}
	started := make(chan struct{})
	conn, events, err := zk.Connect(a.Servers, timeout, zk.WithDialer(s.dialer.open), zk.WithHostProvider(&servers{}), zk.WithLogger(quiet{log}),
		zk.WithMaxBufferSize(maxPacket), zk.WithEventCallback(func(ev zk.Event) {
			<-started
			s.event(ev)
		}))
	if err != nil {
		close(started)
		return nil, fmt.Errorf("zookeeper: %s: %w", a, err)
	}
	s.conn, s.events = conn, events
	close(started)
	s.tasks.Go(s.keep)
	return s, nil
}

// event is told by the library and must not wait.
func (s *session) event(ev zk.Event) {
	if ev.Type != zk.EventSession {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch ev.State {
	case zk.StateHasSession:
		switch id := s.conn.SessionID(); {
		case s.id == 0:
			s.id = id
			close(s.up)
		case s.id != id: // the library has made another one
			s.finish(true)
		}
	case zk.StateExpired:
		s.finish(true)
	}
}

// finish is called with the lock.
func (s *session) finish(expired bool) {
	if !s.over {
		s.over, s.expired = true, expired
		close(s.ended)
	}
}

// help runs f, which ends with the session, beside it, unless it has ended.
func (s *session) help(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.tasks.Go(f)
	}
}

// close ends the session and its ephemeral nodes, where a server can be told, and waits for its goroutines.
func (s *session) close() {
	s.closing.Do(func() {
		s.mu.Lock()
		s.finish(false)
		s.mu.Unlock()
		s.conn.Close()
		s.dialer.cut(true)
	})
	for range s.events { // closed when the library is done
	}
	s.tasks.Wait()
}

// timeout is for how long the ensemble keeps the session without a word.
func (s *session) timeout() time.Duration { return time.Duration(s.dialer.negotiated.Load()) }

// until is when the session may have expired, by this machine's monotonic clock.
func (s *session) until() time.Time { return s.base.Add(time.Duration(s.lease.Load())) }

// valid tells that the session cannot have expired.
func (s *session) valid() bool {
	select {
	case <-s.ended:
		return false
	default:
		return time.Now().Before(s.until())
	}
}

// keep asks the ensemble for a sign of life six times in a session's timeout, and leaves a server that gives none. An answer shows that
// the session was alive when the question was asked. A server passes what it heard on to the others with a delay, which may be as long as
// a quarter of the shortest timeout: the lease is shorter than the timeout by a third.
func (s *session) keep() {
	select {
	case <-s.known:
	case <-s.ended:
		return
	}
	for {
		timeout := s.timeout()
		began := time.Now()
		done := make(chan error, 1)
		go func() {
			_, _, err := s.conn.Exists(s.address.Path)
			done <- err
		}()
		patience := time.NewTimer(timeout / 3)
		var err error
		select {
		case err = <-done:
		case <-patience.C:
			s.dialer.cut(false)
			err = <-done
		}
		patience.Stop()
		pause := timeout / 6
		if err == nil {
			s.lease.Store(int64(began.Sub(s.base) + timeout*2/3))
		} else {
			pause /= 8
		}
		select {
		case <-s.ended:
			return
		case <-time.After(pause):
		}
	}
}

// wait returns when a server has accepted the session.
func (s *session) wait(ctx context.Context) error {
	tick := time.NewTimer(firstSilence)
	defer tick.Stop()
	for {
		select {
		case <-s.up:
			return nil
		case <-s.ended:
			return errSession
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			s.log.Warn("no server of the ensemble answers", "address", s.address.String(), "err", s.trouble())
			tick.Reset(silence)
		}
	}
}

// watched sets a watch that never fires, so that there always is one to be set again.
func (s *session) watched() error {
	return s.retry(func() error {
		_, _, _, err := s.conn.ExistsW(s.address.Path + "/never")
		if err == nil {
			s.dialer.watching.Store(true)
		}
		return err
	})
}

// transient tells that the call may have been carried out or not, and may be repeated.
func transient(err error) bool {
	for _, e := range []error{zk.ErrConnectionClosed, zk.ErrNoServer, zk.ErrSessionMoved, zk.ErrClosing, zk.ErrSessionExpired, io.EOF, io.ErrClosedPipe, net.ErrClosed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return errors.As(err, new(net.Error))
}

// retry repeats an idempotent call until a server has given a verdict, or the session has ended.
func (s *session) retry(f func() error) error {
	pause := retryPause
	for {
		err := f()
		if err == nil || !transient(err) {
			return err
		}
		select {
		case <-s.ended:
			return errSession
		case <-time.After(pause):
			pause = min(2*pause, longestPause)
		}
	}
}

// multi carries out all of the operations or none. Its error is that of the first that failed.
func (s *session) multi(ops ...any) error {
	results, err := s.conn.Multi(ops...)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Error != nil {
			return r.Error
		}
	}
	return nil
}

func (s *session) get(path string) (data []byte, stat *zk.Stat, err error) {
	err = s.retry(func() (err error) {
		data, stat, err = s.conn.Get(path)
		return err
	})
	return data, stat, err
}

func (s *session) children(path string) (names []string, err error) {
	err = s.retry(func() (err error) {
		names, _, err = s.conn.Children(path)
		return err
	})
	return names, err
}

// owned tells whether the ephemeral node is this session's.
func (s *session) owned(path string) (bool, error) {
	var is bool
	err := s.retry(func() error {
		there, stat, err := s.conn.Exists(path)
		is = err == nil && there && stat.EphemeralOwner == s.conn.SessionID()
		return err
	})
	return is, err
}

// remove removes a node that may be gone.
func (s *session) remove(path string) error {
	err := s.retry(func() error { return s.conn.Delete(path, -1) })
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	return err
}

// authenticate says who this is, before anything else is asked.
func (s *session) authenticate() error {
	if s.address.User != "" {
		err := s.retry(func() error { return s.conn.AddAuth("digest", []byte(s.address.User+":"+s.address.Password)) })
		if err != nil {
			return err
		}
	}
	close(s.known)
	return s.watched()
}

// trouble is why no server has taken this session in, if none has and it is known.
func (s *session) trouble() error {
	if s == nil {
		return nil
	}
	return s.dialer.trouble()
}

// private and public are the access rights of what is made: with credentials only they may change it, and what is public all may read.
func (s *session) private() []zk.ACL {
	if s.address.User == "" {
		return zk.WorldACL(zk.PermAll)
	}
	return zk.AuthACL(zk.PermAll)
}

func (s *session) public() []zk.ACL {
	if s.address.User == "" {
		return zk.WorldACL(zk.PermAll)
	}
	return append(zk.AuthACL(zk.PermAll), zk.WorldACL(zk.PermRead)...)
}

// explain puts the library's refusals into words.
func (s *session) explain(path string, err error) error {
	who := "without credentials"
	if s.address.User != "" {
		who = fmt.Sprintf("as user %q", s.address.User)
	}
	if errors.Is(err, zk.ErrNoAuth) || errors.Is(err, zk.ErrInvalidACL) || errors.Is(err, zk.ErrAuthFailed) {
		return fmt.Errorf("%w: %s, %s: %v", ErrNotAllowed, path, who, err)
	}
	if err == nil || errors.Is(err, errSession) {
		return err
	}
	if err.Error() == wantsSASL {
		return fmt.Errorf("%w (%s, %s)", ErrSASL, s.address, who)
	}
	return fmt.Errorf("zookeeper: %s: %w", path, err)
}
