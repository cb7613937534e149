package zookeeper

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
)

// DetectorConfig says where the leader's record is. Only Address is required.
type DetectorConfig struct {
	// Address is the path of the cluster, as in Config. Credentials are not needed to find the leader. Required.
	Address string
	// SessionTimeout is after how long a server that says nothing is given up. Defaults to 10 s.
	SessionTimeout time.Duration
	// Dial opens connections to servers. Defaults to TCP.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// TLS is as in Config. Defaults to plain text.
	TLS *tls.Config
	// Logger defaults to none.
	Logger *slog.Logger
}

// A Detector finds the leader by its record on the ensemble. It implements election.Detector.
type Detector struct {
	cfg     DetectorConfig
	address Address
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	started bool
	closed  bool
	leader  election.Peer
	err     error         // why there is none to be known
	changed chan struct{} // closed at each change of the two
	session *session      // the present one, or the one before
}

var _ election.Detector = (*Detector)(nil)

// NewDetector returns a detector, or an error that names the field of cfg that is wrong. It asks nothing before the first Detect. Close it
// when done.
func NewDetector(cfg DetectorConfig) (*Detector, error) {
	address, err := ParseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 10 * time.Second
	}
	if cfg.SessionTimeout < minSession || cfg.SessionTimeout > maxSession {
		return nil, fmt.Errorf("zookeeper: DetectorConfig.SessionTimeout is %v, allowed is %v to %v", cfg.SessionTimeout, minSession, maxSession)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Detector{cfg: cfg, address: address, ctx: ctx, cancel: cancel, changed: make(chan struct{})}, nil
}

// Detect returns the leader as soon as it differs from previous. While the ensemble does not answer, the leader that was last known is
// taken for the leader. It returns net.ErrClosed after Close, the ensemble's refusal where the record may not be read, and with ctx's error
// why no server could be reached, if none could.
func (d *Detector) Detect(ctx context.Context, previous election.Peer) (election.Peer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.started && !d.closed {
		d.started = true
		d.wg.Go(d.run)
	}
	for {
		switch {
		case d.closed:
			return election.Peer{}, net.ErrClosed
		case d.leader != election.Peer{} && d.leader != previous:
			return d.leader, nil
		case d.err != nil:
			return election.Peer{}, d.err
		}
		changed := d.changed
		d.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = ctx.Err()
		}
		d.mu.Lock()
		if err != nil {
			if why := d.session.trouble(); why != nil {
				err = fmt.Errorf("%w: %w", err, why)
			}
			return election.Peer{}, err
		}
	}
}

// Close ends every Detect, and returns when its goroutines have ended.
func (d *Detector) Close() error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		d.signal()
	}
	d.mu.Unlock()
	d.cancel()
	d.wg.Wait()
	return nil
}

func (d *Detector) signal() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Detector) learn(p election.Peer, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if (p != d.leader || err != nil || d.err != nil) && !d.closed {
		d.leader, d.err = p, err
		d.signal()
	}
}

func (d *Detector) run() {
	for d.ctx.Err() == nil {
		if err := d.live(); err != nil && !errors.Is(err, errSession) && d.ctx.Err() == nil {
			d.cfg.Logger.Warn("the leader cannot be found", "err", err)
			d.learn(election.Peer{}, err)
		}
		select {
		case <-d.ctx.Done():
		case <-time.After(sessionPause):
		}
	}
}

// live is one session.
func (d *Detector) live() error {
	s, err := openSession(d.address, d.cfg.SessionTimeout, d.cfg.Dial, d.cfg.TLS, d.cfg.Logger)
	if err != nil {
		return err
	}
	defer s.close()
	d.mu.Lock()
	d.session = s
	d.mu.Unlock()
	stop := context.AfterFunc(d.ctx, s.close)
	defer stop()
	if err := s.wait(d.ctx); err != nil {
		return err
	}
	if err := s.authenticate(); err != nil {
		return s.explain(d.address.Path, err)
	}
	for {
		p, _, changed, err := s.leaderRecord()
		if err != nil {
			return s.explain(d.address.Path, err)
		}
		d.learn(p, nil)
		select {
		case <-s.ended:
			return errSession
		case <-changed:
		}
	}
}
