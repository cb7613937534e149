package zookeeper

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/zkserver"
)

// An authority signs certificates for loopback.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	a := &authority{key: key, pool: x509.NewCertPool()}
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) leaf(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// stores writes the files of a server with a certificate of this authority.
func (a *authority) stores(t *testing.T) zkserver.Options {
	pair := a.leaf(t)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	o := zkserver.Options{KeyStore: filepath.Join(dir, "server.pem"), TrustStore: filepath.Join(dir, "ca.pem")}
	own := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})...)
	require.NoError(t, os.WriteFile(o.KeyStore, own, 0o600))
	require.NoError(t, os.WriteFile(o.TrustStore, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o600))
	return o
}

// A log keeps what was written to it.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Over TLS all is as without; whoever does not trust the server, or is not trusted by it, is told why and changes nothing.
func TestAnEnsembleOverTLS(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	s := startServers(t, ours.stores(t))[0]
	trusted := &tls.Config{RootCAs: ours.pool, Certificates: []tls.Certificate{ours.leaf(t)}}
	secure := "zk://meros:secret@" + s.SecureAddress + "/tls"
	m := startMember(t, 0, Config{Address: secure, SessionTimeout: 20 * time.Second, TLS: trusted})
	require.NoError(t, propose(t, m.next(), "a"))
	d, err := NewDetector(DetectorConfig{Address: "zk://" + s.SecureAddress + "/tls", TLS: trusted})
	require.NoError(t, err)
	defer d.Close()
	leader, err := d.Detect(t.Context(), election.Peer{})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:5050", leader.Address)
	second := startMember(t, 1, Config{Address: secure, SessionTimeout: 20 * time.Second, TLS: trusted})
	agree(t, "a", m, second)

	require.NoError(t, m.stop())
	require.NoError(t, second.stop())
	before := tree(t, s, "meros:secret")
	cases := map[string]struct {
		address string
		tls     *tls.Config
		says    string
	}{
		"an authority that is not trusted": {s.SecureAddress, &tls.Config{RootCAs: theirs.pool, Certificates: trusted.Certificates}, "certificate signed by unknown authority"},
		"a certificate of another":         {s.SecureAddress, &tls.Config{RootCAs: ours.pool, Certificates: []tls.Certificate{theirs.leaf(t)}}, "tls:"},
		"no certificate":                   {s.SecureAddress, &tls.Config{RootCAs: ours.pool}, "tls:"},
		"another name":                     {s.SecureAddress, &tls.Config{RootCAs: ours.pool, Certificates: trusted.Certificates, ServerName: "zk.example"}, "zk.example"},
		"plain text to the secure port":    {s.SecureAddress, nil, "server " + s.SecureAddress + ": "},
		"tls to the plain port":            {s.Address, trusted, "server " + s.Address + ": tls: "},
	}
	t.Run("who is told why", func(t *testing.T) {
		for name, c := range cases {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				lookIn(t, c.address, c.tls, c.says)
			})
		}
	})
	require.Equal(t, before, tree(t, s, "meros:secret"))
}

// lookIn runs a detector and a master that come to nothing, and checks what they are told.
func lookIn(t *testing.T, address string, config *tls.Config, says string) {
	d, err := NewDetector(DetectorConfig{Address: "zk://" + address + "/tls", TLS: config, SessionTimeout: time.Second})
	require.NoError(t, err)
	said := &logBuffer{}
	ctx, cancel := context.WithCancel(t.Context())
	found := make(chan error, 1)
	go func() {
		_, err := d.Detect(ctx, election.Peer{})
		found <- err
	}()
	eventually(t, "a reason", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.session.trouble() != nil && strings.Contains(d.session.trouble().Error(), says)
	})
	cancel()
	err = <-found
	require.ErrorIs(t, err, context.Canceled)
	require.NotContains(t, err.Error(), "\n")
	require.NoError(t, d.Close())

	e, err := New(Config{Address: "zk://meros:secret@" + address + "/tls", TLS: config, SessionTimeout: time.Second})
	require.NoError(t, err)
	ctx, cancel = context.WithCancel(t.Context())
	ended := make(chan error, 1)
	env := election.Env{StateMachine: &stubborn{}, Opening: func() []byte { return nil }, Advertise: "127.0.0.1:5059", Logger: slog.New(slog.NewTextHandler(said, nil))}
	go func() { ended <- e.Run(ctx, env) }()
	eventually(t, "a line of the log", func() bool { return strings.Contains(said.String(), "no server of the ensemble answers") })
	cancel()
	require.NoError(t, <-ended)
	require.NotContains(t, said.String(), "secret")
}

// A server that wants SASL has it said that there is none; one that wants a digest is served.
func TestAnEnsembleThatWantsOthersToAuthenticate(t *testing.T) {
	t.Parallel()
	t.Run("by sasl", func(t *testing.T) {
		t.Parallel()
		s := startServers(t, zkserver.Options{Config: "enforce.auth.enabled=true\nenforce.auth.schemes=sasl\nauthProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n"})[0]
		refused(t, 0, Config{Address: "zk://meros:secret@" + s.address + "/sasl"}, ErrSASL, "sasl: not supported; use digest or TLS")
		d, err := NewDetector(DetectorConfig{Address: "zk://" + s.address + "/sasl"})
		require.NoError(t, err)
		defer d.Close()
		_, err = d.Detect(t.Context(), election.Peer{})
		require.ErrorIs(t, err, ErrSASL)
	})
	t.Run("by digest", func(t *testing.T) {
		t.Parallel()
		s := startServers(t, zkserver.Options{Config: "enforce.auth.enabled=true\nenforce.auth.schemes=digest\n"})[0]
		m := startMember(t, 0, Config{Address: "zk://meros:secret@" + s.address + "/digest"})
		require.NoError(t, propose(t, m.next(), "a"))
	})
}
