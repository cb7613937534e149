package masterhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
)

// A Source is the master as the endpoints see it. Every function is required and safe for concurrent use.
type Source struct {
	// View returns the core of the present reign as it was a moment ago; nil when this master does not lead.
	View func(ctx context.Context) *mastercore.View
	// Explain says why a framework is offered nothing, in a role or in all, on a slave or on all.
	Explain func(ctx context.Context, framework offer.FrameworkID, role string, slave offer.SlaveID) (mastercore.Why, error)
	// Leader returns the address of the leader, if it is known.
	Leader func() (address string, ok bool)
	// Leading reports whether this master leads.
	Leading func() bool
	// Members, AddMember, RemoveMember, Transfer and NewToken concern the set of masters.
	Members      func(ctx context.Context) ([]Member, error)
	AddMember    func(ctx context.Context, j Joining) error
	RemoveMember func(ctx context.Context, id string) error
	Transfer     func(ctx context.Context, id string) error
	NewToken     func(ctx context.Context, life time.Duration) (token [16]byte, expires time.Time, err error)
	// Snapshot writes the registry as a saved state. When it fails before the first byte, the error can be answered.
	Snapshot func(ctx context.Context, w io.Writer) error
	// Version is that of the host program; may be empty.
	Version string
	// TLS says that the leader is to be reached by https.
	TLS bool
}

const (
	maxBody      = 64 << 10
	defaultLimit = 100
	maxLimit     = 10_000
)

// New returns the endpoints.
func New(s Source) http.Handler {
	h := &handler{s}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", h.health)
	mux.HandleFunc("GET /version", h.version)
	mux.HandleFunc("GET /state-summary", h.view(h.summary))
	mux.HandleFunc("GET /slaves", h.view(h.slaves))
	mux.HandleFunc("GET /frameworks", h.view(h.frameworks))
	mux.HandleFunc("GET /tasks", h.view(h.tasks))
	mux.HandleFunc("GET /roles", h.view(h.roles))
	mux.HandleFunc("GET /explain", h.leading(h.explain))
	mux.HandleFunc("GET /members", h.members)
	mux.HandleFunc("POST /members", h.leading(h.addMember))
	mux.HandleFunc("DELETE /members/{id}", h.leading(h.removeMember))
	mux.HandleFunc("POST /members/{id}/lead", h.leading(h.transfer))
	mux.HandleFunc("POST /tokens", h.leading(h.newToken))
	mux.HandleFunc("POST /snapshot", h.leading(h.snapshot))
	return http.NewCrossOriginProtection().Handler(secured(mux))
}

type handler struct{ s Source }

// secured sets the headers that keep a browser from taking answers for anything but data.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'")
		w.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// leading passes on what only the leader can do, and redirects the rest to it.
func (h *handler) leading(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.s.Leading() {
			next(w, r)
			return
		}
		h.redirect(w, r)
	}
}

func (h *handler) redirect(w http.ResponseWriter, r *http.Request) {
	address, ok := h.s.Leader()
	if !ok || h.s.Leading() {
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, offer.Refuse(offer.ReasonNotLeader, "nobody leads just now"))
		return
	}
	scheme := "http"
	if h.s.TLS {
		scheme = "https"
	}
	w.Header().Set("Location", scheme+"://"+address+r.URL.RequestURI())
	w.WriteHeader(http.StatusTemporaryRedirect)
}

// view hands the view to an endpoint.
func (h *handler) view(next func(http.ResponseWriter, *http.Request, *mastercore.View)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if v := h.s.View(r.Context()); v != nil {
			next(w, r, v)
			return
		}
		h.redirect(w, r)
	}
}

func (h *handler) version(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]string{"version": h.s.Version})
}

func (h *handler) health(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func statusOf(err error) int {
	var refusal *offer.Refusal
	if errors.As(err, &refusal) {
		switch refusal.Reason {
		case offer.ReasonInvalidField, offer.ReasonMalformed:
			return http.StatusBadRequest
		case offer.ReasonUnknownID, offer.ReasonFrameworkUnknown:
			return http.StatusNotFound
		case offer.ReasonLimitReached:
			return http.StatusTooManyRequests
		case offer.ReasonNotLeader:
			return http.StatusServiceUnavailable
		}
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

func fail(w http.ResponseWriter, code int, err error) {
	out := struct {
		Error  string       `json:"error"`
		Reason offer.Reason `json:"reason,omitempty"`
	}{Error: err.Error()}
	var refusal *offer.Refusal
	if errors.As(err, &refusal) {
		out.Error, out.Reason = refusal.Message, refusal.Reason
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(out)
}

func reply(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b)
}

// number reads a query parameter between 0 and most.
func number(r *http.Request, name string, otherwise, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return 0, offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("%s %.40q: must be a number from 0 to %d", name, text, most))
	}
	return n, nil
}
