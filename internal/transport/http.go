package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// How long and how large a stranger's request may be. A handler that streams sets its own deadlines by http.ResponseController.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 10 * time.Second
	replyTimeout    = time.Minute
	idleTimeout     = time.Minute
	maxHeaderBytes  = 32 << 10
	shutdownTimeout = time.Second
)

// ServeHTTP serves handler on ln until ctx ends (then it returns nil, when the last request is answered or a second is over) or ln fails.
func ServeHTTP(ctx context.Context, ln net.Listener, handler http.Handler, log *slog.Logger) error {
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: replyTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx }}
	stop, cancelStop := context.WithCancel(ctx)
	defer cancelStop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-stop.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			_ = srv.Close()
		}
	}()
	err := srv.Serve(ln)
	if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
		<-ctx.Done()
		<-done
		return nil
	}
	cancelStop()
	<-done
	return err
}

// KnownHost turns away requests that name a host which is neither an address, nor localhost, nor the advertised one: what is open to this
// machine only must not be open to a web page whose name was made to point here.
func KnownHost(advertise string, next http.Handler) http.Handler {
	own := hostOf(advertise)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		if _, err := netip.ParseAddr(host); err != nil && host != own && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
			http.Error(w, "the host is not one of this node", http.StatusForbidden)
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
