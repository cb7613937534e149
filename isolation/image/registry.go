package image

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/isolation/fetch"
)

// An Opener opens an image in a registry, by HOST/NAME:TAG or HOST/NAME@DIGEST, with a client that decides where it may connect to, in plain
// text or not, and as a user or, where the name is empty, as nobody. It makes no connection yet. top then reads the manifest or index that was
// asked for, at most so many bytes; open opens what that names, which is checked by who reads it. Open of package registry is one.
type Opener = func(client *http.Client, plain bool, reference, user, password string, most int64) (
	top func(ctx context.Context) (mediaType, digest string, document []byte, err error),
	open func(ctx context.Context, mediaType, digest string, size int64) (io.ReadCloser, error), err error)

// opener is what images are pulled with.
var opener atomic.Pointer[Opener]

// UseRegistry makes this program able to pull images from registries. It must be called before Main, in every process: a program that embeds a
// slave, and wants images from registries, calls it before slave.Supervise. Without it there are images of folders and tarballs alone; what a
// program has that pulls is paid for by each task, which starts as a copy of it.
func UseRegistry(open Opener) { opener.Store(&open) }

// A pull is an image in a registry.
type pull struct {
	topOf func(ctx context.Context) (mediaType, digest string, document []byte, err error)
	blob  func(ctx context.Context, mediaType, digest string, size int64) (io.ReadCloser, error)
}

const (
	registryStall = time.Minute // without an answer
	maxRedirects  = 10
)

func (c StoreConfig) pull(r *reference) (*pull, error) {
	open := opener.Load()
	if open == nil {
		return nil, errNoRegistry
	}
	client, err := c.client(r.registry)
	if err != nil {
		return nil, err
	}
	p := &pull{}
	p.topOf, p.blob, err = (*open)(client, loopback(r.registry.Host), r.name, r.registry.User, r.registry.Password, maxDocument)
	return p, err
}

var errNoRegistry = errors.New("this program cannot pull from registries")

func (p *pull) top(ctx context.Context) (descriptor, []byte, error) {
	mediaType, digest, b, err := p.topOf(ctx)
	return descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(b))}, b, err
}

func (p *pull) open(ctx context.Context, d descriptor) (io.ReadCloser, error) {
	return p.blob(ctx, d.MediaType, d.Digest, d.Size)
}

// client speaks to one registry, and to where that sends it: there the addresses that lead back into the site's inside are refused.
func (c StoreConfig) client(r Registry) (*http.Client, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if c.CAFile != "" {
		b, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("the slave's file of certificates: %w", err)
		}
		if !pool.AppendCertsFromPEM(b) {
			return nil, errors.New("the slave's file of certificates holds none")
		}
	}
	host := r.Host
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(host, "443")
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		d := &net.Dialer{Timeout: registryStall}
		if address != host { // the operator has named the registry, but not this one
			d.ControlContext = fetch.RefuseSpecial
		}
		return d.DialContext(ctx, network, address)
	}
	return &http.Client{
		Transport: &http.Transport{DialContext: dial, TLSHandshakeTimeout: registryStall, ResponseHeaderTimeout: registryStall,
			MaxResponseHeaderBytes: 64 << 10, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			switch {
			case len(via) > maxRedirects:
				return fmt.Errorf("more than %d redirects", maxRedirects)
			case req.URL.Scheme != "https" && via[0].URL.Scheme == "https":
				return errors.New("the registry redirects from https to plain text")
			}
			return nil
		}}, nil
}
