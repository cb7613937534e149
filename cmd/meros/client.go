package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/meros-project/meros/internal/transport"
)

const (
	maxAnswer   = 64 << 20               // of one answer
	askPatience = 5 * time.Second        // while the masters elect their leader
	askPause    = 200 * time.Millisecond // between two rounds
	askTimeout  = 30 * time.Second       // of the whole
)

// A refused is what the cluster has answered: no other master would say anything else.
type refused struct {
	address, text string
}

func (r *refused) Error() string { return r.address + ": " + r.text }

// errUnsure is of a master that could not be taken at its word just now: nobody leads, or the leader that it named does not answer.
var errUnsure = errors.New("nobody leads just now")

// ask sends a request to the masters, one after the other until one answers; each redirects to the leader. While they elect one, it asks again.
// The answer's JSON goes into out, unless that is nil.
func (f *masterFlags) ask(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return f.each(ctx, func(f *masterFlags, client *http.Client, address string) error {
		answer, err := f.one(ctx, client, method, address, path, body)
		if err == nil && out != nil {
			if err = json.Unmarshal(answer, out); err != nil {
				err = fmt.Errorf("%s: %w", address, err)
			}
		}
		return err
	})
}

// stream is ask for an answer of any length, which take reads. It may take as long as the masters go on sending.
func (f *masterFlags) stream(ctx context.Context, method, path string, take func(io.Reader) error) error {
	return f.each(ctx, func(f *masterFlags, client *http.Client, address string) error {
		patient := *client
		patient.Timeout = 0
		resp, err := f.open(ctx, &patient, method, address, path, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if err := take(resp.Body); err != nil {
			return &refused{address, err.Error()} // the others would send the same
		}
		return nil
	})
}

// each goes through the masters, again and again while they elect their leader, until one has answered.
func (f *masterFlags) each(ctx context.Context, one func(f *masterFlags, client *http.Client, address string) error) error {
	f, err := f.known(ctx)
	if err != nil {
		return err
	}
	client, err := f.http()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	for begun := time.Now(); ; {
		var failures []error
		for _, address := range f.addresses {
			err := one(f, client, address)
			if err == nil || errors.As(err, new(*refused)) {
				return err
			}
			failures = append(failures, err)
		}
		err := fmt.Errorf("no master answers: %w", join(failures))
		if !errors.Is(err, errUnsure) || time.Since(begun) > askPatience {
			return err
		}
		select {
		case <-time.After(askPause):
		case <-ctx.Done():
			return err
		}
	}
}

// join puts the failures in one line.
func join(failures []error) error {
	if len(failures) == 1 {
		return failures[0]
	}
	format, args := make([]string, len(failures)), make([]any, len(failures))
	for i, err := range failures {
		format[i], args[i] = "%w", err
	}
	return fmt.Errorf(strings.Join(format, "; "), args...)
}

// one sends the request to one master. Its errors name the address.
func (f *masterFlags) one(ctx context.Context, client *http.Client, method, address, path string, body []byte) ([]byte, error) {
	resp, err := f.open(ctx, client, method, address, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return answer, nil
}

// open sends the request to one master, which has agreed to it when there is no error. The answer's body must be closed.
func (f *masterFlags) open(ctx context.Context, client *http.Client, method, address, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, f.scheme()+"://"+address+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			if at, perr := url.Parse(u.URL); perr == nil && at.Host != "" && at.Host != address {
				return nil, fmt.Errorf("%s: %w: it names %s, which does not answer: %w", address, errUnsure, at.Host, u.Err)
			}
			if err = u.Err; strings.Contains(err.Error(), "redirects") { // two masters that name each other
				return nil, fmt.Errorf("%s: %w: %w", address, errUnsure, err)
			}
		}
		return nil, f.explain(ctx, address, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", address, err)
	case resp.StatusCode == http.StatusServiceUnavailable:
		return nil, fmt.Errorf("%s: %w", address, errUnsure)
	}
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(answer, &said) != nil || said.Error == "" {
		said.Error = fmt.Sprintf("%s %s: %s: %.200s", method, path, resp.Status, bytes.TrimSpace(answer))
	}
	return nil, &refused{address, said.Error}
}

// A mismatch is a failure that trying again does not heal: certificates, or plain text against TLS.
type mismatch struct {
	address, text string
	err           error
}

func (m *mismatch) Error() string { return fmt.Sprintf("%s: %s: %v", m.address, m.text, m.err) }
func (m *mismatch) Unwrap() error { return m.err }

// explain finds out what is wrong with a connection on which no HTTP answer came.
func (f *masterFlags) explain(ctx context.Context, address string, err error) error {
	var remote *net.OpError
	switch {
	case errors.As(err, new(*plainError)):
		return &mismatch{address, "plain text is allowed on loopback only", errors.New("set --tls-ca, --tls-cert and --tls-key, or --insecure")}
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, new(x509.UnknownAuthorityError)), errors.As(err, new(x509.HostnameError)):
		return &mismatch{address, "the master's certificate is not trusted by --tls-ca", err}
	case errors.As(err, &remote) && remote.Op == "remote error" || strings.Contains(err.Error(), "remote error: tls:"):
		return &mismatch{address, "the master does not trust --tls-cert", err}
	case errors.As(err, &remote) && remote.Op == "dial", ctx.Err() != nil:
		return fmt.Errorf("%s: %w", address, err)
	case f.tls.ca == "" && speaksTLS(ctx, address):
		return &mismatch{address, "the master wants TLS", errors.New("set --tls-ca, --tls-cert and --tls-key")}
	case f.tls.ca != "" && speaksPlain(ctx, address):
		return &mismatch{address, "the master speaks plain text", errors.New("leave out --tls-ca, --tls-cert and --tls-key")}
	}
	return fmt.Errorf("%s: %w", address, err)
}

const probeTimeout = 2 * time.Second

// speaksTLS reports whether a TLS server is at the address. Nothing is sent to it but a greeting.
func speaksTLS(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	seen := false
	d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, // the answer is not used
		VerifyConnection: func(tls.ConnectionState) error { seen = true; return nil }}}
	if conn, err := d.DialContext(ctx, "tcp", address); err == nil {
		_ = conn.Close()
	}
	return seen
}

// speaksPlain reports whether a master answers there without TLS.
func speaksPlain(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/health", nil)
	if err != nil {
		return false
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// plainError is plain text to another machine.
type plainError struct{ err error }

func (p *plainError) Error() string { return p.err.Error() }

// dial refuses plain text beyond loopback before anything is sent.
func (f *masterFlags) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	if err == nil && f.tls.ca == "" && !f.tls.insecure {
		if err := transport.CheckPlain(conn.RemoteAddr()); err != nil {
			_ = conn.Close()
			return nil, &plainError{err}
		}
	}
	return conn, err
}

// trouble tells why no master can be talked to: nil if one can. It is lasting if waiting will not help.
func (f *masterFlags) trouble(ctx context.Context) (err error, lasting bool) {
	if err := f.check(); err != nil {
		return err, true
	}
	f, err = f.known(ctx)
	if err != nil {
		return err, false
	}
	client, err := f.http()
	if err != nil {
		return err, true
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	var failures []error
	lasting = true
	for _, address := range f.addresses {
		_, err := f.one(ctx, client, http.MethodGet, address, "/health", nil)
		if err == nil {
			return nil, false
		}
		lasting = lasting && errors.As(err, new(*mismatch))
		failures = append(failures, err)
	}
	return fmt.Errorf("no master answers: %w", join(failures)), lasting
}
