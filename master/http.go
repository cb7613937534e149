package master

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/masterhttp"
	"github.com/meros-project/meros/internal/transport"
)

// How long and how large a stranger's request may be.
const (
	headerTimeout   = 5 * time.Second
	idleTimeout     = time.Minute
	maxHeaderBytes  = 32 << 10
	queryTimeout    = time.Second // for a fresh view; then an older one is shown
	shutdownTimeout = time.Second
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
			return p.Address, ok
		},
		Leading: func() bool { return m.current.Load() != nil },
		Members: func(ctx context.Context) ([]masterhttp.Member, error) {
			members, err := m.Members(ctx)
			out := make([]masterhttp.Member, len(members))
			for i, p := range members {
				out[i] = masterhttp.Member{ID: p.ID, Address: p.Address, Voter: p.Voter, Leader: p.Leader}
			}
			return out, err
		},
		AddMember: func(ctx context.Context, id, address string) error {
			return m.AddMember(ctx, election.Peer{ID: id, Address: address})
		},
		RemoveMember: m.RemoveMember,
		TLS:          m.cfg.TLS != nil,
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
		handler = knownHost(m.advertise, handler)
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: 2 * headerTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelDebug)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		sctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		if srv.Shutdown(sctx) != nil {
			_ = srv.Close()
		}
	}()
	err := srv.Serve(ln)
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		<-ctx.Done()
		<-done
		return nil
	}
	return fmt.Errorf("master: http: %w", err)
}

// knownHost turns away requests that name a host which is neither an address, nor localhost, nor the advertised one: what is open to this
// machine only must not be open to a web page whose name was made to point here.
func knownHost(advertise string, next http.Handler) http.Handler {
	own := hostOf(advertise)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		if _, err := netip.ParseAddr(host); err != nil && host != own && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
			http.Error(w, "the host is not one of this master", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf cuts the port off.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	return strings.ToLower(strings.Trim(address, "[]"))
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
