package master

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/masterhttp"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

const (
	// queryTimeout is how long a fresh view is waited for; then an older one is shown.
	queryTimeout = time.Second
	// explainTimeout is how long an explanation is waited for.
	explainTimeout = 10 * time.Second
)

// newHandler connects the endpoints to this master.
func (m *Master) newHandler() http.Handler {
	return masterhttp.New(masterhttp.Source{
		View: func(ctx context.Context) *mastercore.View {
			r := m.current.Load()
			if r == nil {
				return nil
			}
			ctx, cancel := context.WithTimeout(ctx, queryTimeout)
			defer cancel()
			return r.read(ctx)
		},
		Leader: func() (string, bool) {
			p, ok := m.Leader()
			if ok && p.Address == m.advertise && m.current.Load() == nil {
				return "", false // it is about to lead, or was deposed: nobody is to be sent here again
			}
			return p.Address, ok
		},
		Leading: func() bool { return m.current.Load() != nil },
		Explain: func(ctx context.Context, framework offer.FrameworkID, role string, slave offer.SlaveID) (mastercore.Why, error) {
			ctx, cancel := context.WithTimeout(ctx, explainTimeout)
			defer cancel()
			return m.explain(ctx, framework, role, slave)
		},
		Members: func(ctx context.Context) ([]masterhttp.Member, error) {
			members, err := m.Members(ctx)
			out := make([]masterhttp.Member, len(members))
			for i, p := range members {
				out[i] = masterhttp.Member{ID: p.ID, Address: p.Address, Voter: p.Voter, Leader: p.Leader}
			}
			return out, err
		},
		AddMember: func(ctx context.Context, j masterhttp.Joining) error {
			p := election.Peer{ID: j.ID, Address: j.Address}
			switch {
			case j.Token != nil:
				return m.JoinMember(ctx, p, *j.Token, j.Attempt)
			case j.NonVoter:
				return m.AddNonVoter(ctx, p)
			case j.Promote:
				return m.PromoteMember(ctx, p)
			}
			return m.AddMember(ctx, p)
		},
		RemoveMember: m.RemoveMember,
		Transfer:     m.Transfer,
		NewToken: func(ctx context.Context, life time.Duration) ([16]byte, time.Time, error) {
			return m.NewToken(ctx, life)
		},
		Snapshot: m.Save,
		Version:  m.cfg.Version,
		TLS:      m.cfg.TLS != nil,
	})
}

// serveHTTP serves the handler on the master's own port until ctx ends. Where clients have certificates, a request that changes something must
// show one.
func (m *Master) serveHTTP(ctx context.Context, ln net.Listener) error {
	handler := m.handler
	if m.cfg.TLS != nil && m.cfg.TLS.ClientCAs != nil {
		handler = requireCertificate(handler)
	}
	if m.cfg.TLS == nil && transport.CheckPlain(ln.Addr()) == nil {
		handler = transport.KnownHost(m.advertise, handler)
	}
	if err := transport.ServeHTTP(ctx, ln, handler, m.log); err != nil {
		return fmt.Errorf("master: http: %w", err)
	}
	return nil
}

func requireCertificate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
			http.Error(w, "a client certificate is required", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
