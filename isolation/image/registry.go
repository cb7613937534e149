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
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/meros-project/meros/isolation/fetch"
)

// A pull is an image in a registry.
type pull struct {
	repo *remote.Repository
	tag  string
}

const (
	registryStall = time.Minute // without an answer
	maxRedirects  = 10
)

func (c StoreConfig) pull(r *reference) (*pull, error) {
	client, err := c.client(r.registry)
	if err != nil {
		return nil, err
	}
	repo := &remote.Repository{Reference: r.name, PlainHTTP: loopback(r.registry.Host), MaxMetadataBytes: maxDocument,
		ManifestMediaTypes: []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerList}}
	credential := auth.EmptyCredential
	if r.registry.User != "" || r.registry.Password != "" {
		credential = auth.Credential{Username: r.registry.User, Password: r.registry.Password}
	}
	repo.Client = &auth.Client{Client: client, Credential: auth.StaticCredential(r.name.Host(), credential), Cache: auth.NewCache()}
	return &pull{repo, r.tag}, nil
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

func (p *pull) top(ctx context.Context) (ocispec.Descriptor, []byte, error) {
	d, r, err := p.repo.Manifests().FetchReference(ctx, p.tag)
	if err != nil {
		return d, nil, err
	}
	defer r.Close()
	if d.Size > maxDocument {
		return d, nil, fmt.Errorf("manifest has %d bytes (allowed: at most %d)", d.Size, maxDocument)
	}
	b, err := content.ReadAll(r, d)
	return d, b, err
}

func (p *pull) open(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	switch d.MediaType {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerList:
		return p.repo.Manifests().Fetch(ctx, d)
	}
	return p.repo.Blobs().Fetch(ctx, d)
}
