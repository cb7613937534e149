package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A source is an open download.
type source struct {
	io.ReadCloser
	size int64 // as announced; below zero if it is not
}

// open opens what a URI names.
func (j *job) open(ctx context.Context, raw string) (*source, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("is not a URI")
	}
	switch u.Scheme {
	case "file":
		return j.openFile(u.Path)
	case "http", "https":
		return j.openHTTP(ctx, u)
	}
	return nil, fmt.Errorf("scheme %q is not fetched (allowed: http, https, file)", u.Scheme)
}

// allowedFile returns the folder that a file is allowed by, and its path in there.
func allowedFile(folders []string, name string) (folder, rest string, err error) {
	for _, dir := range folders {
		if rel, err := filepath.Rel(dir, filepath.Clean(name)); err == nil && filepath.IsLocal(rel) && rel != "." {
			return dir, rel, nil
		}
	}
	if len(folders) == 0 {
		return "", "", errors.New("this slave allows no file URIs")
	}
	return "", "", fmt.Errorf("this slave allows no file URIs there (allowed: below %s)", strings.Join(folders, ", "))
}

func (j *job) openFile(name string) (*source, error) {
	dir, rel, err := allowedFile(j.Files, name)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir) // so that no link leads elsewhere
	if err != nil {
		return nil, cause(err)
	}
	defer root.Close()
	f, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a fifo would never open
	if err != nil {
		return nil, cause(err)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("is not a file")
	}
	if err == nil && st.Size() > j.MaxBytes {
		err = tooLarge(st.Size(), j.MaxBytes)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &source{f, st.Size()}, nil
}

func tooLarge(size, most int64) error {
	return fmt.Errorf("has %d bytes (allowed: at most %d)", size, most)
}

// openHTTP follows redirects by itself, so that each hop is checked.
func (j *job) openHTTP(ctx context.Context, u *url.URL) (*source, error) {
	before := public
	for hop := 0; ; hop++ {
		resp, reached, err := j.hop(ctx, u, before, hop > 0)
		if err != nil {
			return nil, err
		}
		switch resp.StatusCode {
		case http.StatusOK:
			if resp.ContentLength > j.MaxBytes {
				_ = resp.Body.Close()
				return nil, tooLarge(resp.ContentLength, j.MaxBytes)
			}
			return &source{resp.Body, resp.ContentLength}, nil
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			_ = resp.Body.Close()
		default:
			_ = resp.Body.Close()
			return nil, fmt.Errorf("the server answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
		}
		if hop >= j.MaxRedirects {
			return nil, fmt.Errorf("more than %d redirects", j.MaxRedirects)
		}
		next, err := u.Parse(resp.Header.Get("Location"))
		switch {
		case err != nil || resp.Header.Get("Location") == "" || next.Host == "":
			return nil, errors.New("the server redirects to nowhere")
		case next.Scheme != "http" && next.Scheme != "https":
			return nil, fmt.Errorf("the server redirects to scheme %q (allowed: http, https)", next.Scheme)
		case u.Scheme == "https" && next.Scheme == "http":
			return nil, fmt.Errorf("the server redirects from https to http, to %s", show(next.String()))
		}
		u, before = next, reached
	}
}

// hop makes one request on a connection of its own, and says what kind of address it reached.
func (j *job) hop(ctx context.Context, u *url.URL, before reach, redirected bool) (*http.Response, reach, error) {
	var reached atomic.Int64
	dialer := &net.Dialer{Timeout: j.Stall, Resolver: &net.Resolver{PreferGo: true}, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		r, err := check(at.Addr(), before, redirected, j.Allow)
		if err == nil {
			reached.Store(int64(r))
		}
		return err
	}}
	pool, err := j.certificates()
	if err != nil {
		return nil, 0, err
	}
	// Without a proxy, because it would see other addresses; without compression of the transport's own, because sizes would not be known.
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true, TLSHandshakeTimeout: j.Stall,
		ResponseHeaderTimeout: j.Stall, MaxResponseHeaderBytes: 64 << 10, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, errors.New("is not a URI")
	}
	req.Header.Set("User-Agent", "meros-fetcher")
	req.Header.Set("Accept-Encoding", "identity")
	if u.User != nil && !redirected { // never handed on
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, 0, cause(err)
	}
	return resp, reach(reached.Load()), nil
}

func (j *job) certificates() (*x509.CertPool, error) {
	if j.authorities == nil {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(j.authorities) {
		return nil, errors.New("the slave's file of certificates holds none")
	}
	return pool, nil
}

// cause is the part of an error that says why, without the URI, which may hold secrets, and without the names of calls.
func cause(err error) error {
	if r := (*refusedAddress)(nil); errors.As(err, &r) {
		return r
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return cause(u.Err)
	}
	if p := (*os.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// errStalled is why a download was given up.
var errStalled = errors.New("stalled")

// A flow reads a download, at most so many bytes, and gives up when too little comes.
type flow struct {
	src    *source
	most   int64
	got    atomic.Int64
	room   func(total int64) error
	rooms  int64 // how many bytes there is room for
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// roomStep is how much room is asked for at a time when nobody knows how much is to come.
const roomStep = 32 << 20

// watch gives the download up when fewer than StallBytes come in a stretch of time.
func (f *flow) watch(stall time.Duration) (stop func()) {
	t := time.NewTicker(stall)
	done := make(chan struct{})
	go func() {
		defer t.Stop()
		last := int64(0)
		for {
			select {
			case <-t.C:
			case <-done:
				return
			}
			now := f.got.Load()
			if now-last < StallBytes {
				f.cancel(errStalled)
				_ = f.src.Close()
				return
			}
			last = now
		}
	}()
	return func() { close(done) }
}

// Read implements io.Reader.
func (f *flow) Read(b []byte) (int, error) {
	n, err := f.src.Read(b)
	got := f.got.Add(int64(n))
	switch {
	case context.Cause(f.ctx) != nil:
		return 0, context.Cause(f.ctx)
	case got > f.most:
		return 0, fmt.Errorf("has more than %d bytes, the most that is allowed", f.most)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return 0, fmt.Errorf("ends after %d bytes of the %d that were announced", got, f.src.size)
	case err != nil && !errors.Is(err, io.EOF):
		return 0, cause(err)
	case f.room != nil && got > f.rooms:
		want := max(min(got+roomStep, f.most), got)
		if f.src.size >= got {
			want = f.src.size
		}
		if rerr := f.room(want); rerr != nil {
			return 0, rerr
		}
		f.rooms = want
	}
	return n, err
}

// download opens a URI and hands what it holds to use, as it comes.
func (j *job) download(ctx context.Context, uri string, room func(int64) error, use func(io.Reader) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	src, err := j.open(ctx, uri)
	if err != nil {
		return err
	}
	defer src.Close()
	f := &flow{src: src, most: j.MaxBytes, room: room, ctx: ctx, cancel: cancel}
	stop := f.watch(j.Stall)
	err = use(f)
	stop()
	if errors.Is(context.Cause(ctx), errStalled) {
		return fmt.Errorf("less than %d bytes came in %v, after %d bytes", StallBytes, j.Stall, f.got.Load())
	}
	return err
}

// filePath is the path of a file URI.
func filePath(raw string) (path string, ok bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "file" {
		return "", false
	}
	return u.Path, true
}
