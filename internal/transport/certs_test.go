package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// files writes ca, certificate and key of a new leaf for loopback, and returns their paths.
func (a *authority) files(t testing.TB, name string) (ca, cert, key string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(file string, b []byte) string {
		path := filepath.Join(dir, file)
		require.NoError(t, os.WriteFile(path, b, 0o600))
		return path
	}
	return write("ca.pem", a.pem), write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

func (a *authority) config(t testing.TB, name string) *tls.Config {
	cfg, err := LoadTLS(a.files(t, name))
	require.NoError(t, err)
	return cfg
}

func TestLoadTLSNamesTheFileThatIsWrong(t *testing.T) {
	ca, cert, key := newAuthority(t).files(t, "m1")
	cfg, err := LoadTLS(ca, cert, key)
	require.NoError(t, err)
	require.EqualValues(t, tls.VersionTLS13, cfg.MinVersion)
	_, err = LoadTLS(ca+"x", cert, key)
	require.ErrorContains(t, err, ca+"x")
	_, err = LoadTLS(key, cert, key)
	require.ErrorContains(t, err, "no certificate in "+key)
	_, err = LoadTLS(ca, cert, cert)
	require.ErrorContains(t, err, cert)
	_, err = LoadTLS("", cert, "")
	require.ErrorContains(t, err, "together")
	cfg, err = LoadTLS(ca, "", "")
	require.NoError(t, err)
	require.Empty(t, cfg.Certificates)
}
