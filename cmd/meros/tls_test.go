package main

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
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An authority signs certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	a := &authority{t: t, dir: t.TempDir(), key: key}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	a.cert, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	require.NoError(a.t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

func (a *authority) ca() string { return filepath.Join(a.dir, "ca.pem") }

// leaf signs a certificate for loopback and returns the files' names.
func (a *authority) leaf(name string) (cert, key string) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(a.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, k.Public(), a.key)
	require.NoError(a.t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(a.t, err)
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "PRIVATE KEY", raw)
}

// flags are those of a node with a certificate of this authority, that trusts ca.
func (a *authority) flags(ca, name string) []string {
	cert, key := a.leaf(name)
	return []string{"--tls-ca", ca, "--tls-cert", cert, "--tls-key", key}
}

func TestAWholeClusterOverTLS(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	c := startCluster(t, 3, 1, ours.flags(ours.ca(), "node")...)
	eventually(t, "somebody leads", func() bool { return c.leader() != "" })
	out, errs, code := meros(t, c.args("run", "--name", "secret", "--cpus", "0.1", "--mem", "32", "--", "sh", "-c", "echo hi; exit 3")...)
	require.Equal(t, 3, code, errs)
	require.Equal(t, "hi\n", out)
	out, errs, code = meros(t, c.args("tasks")...)
	require.Zero(t, code, errs)
	require.Contains(t, out, "TASK")
	require.Len(t, c.members(), 4)

	// TLS 1.3 and a certificate of ours, or nothing.
	pool := x509.NewCertPool()
	pool.AddCert(ours.cert)
	cert, key := ours.leaf("client")
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	get := func(config *tls.Config) (*http.Response, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}, Timeout: 10 * time.Second}
		resp, err := client.Get("https://" + c.leader() + "/members")
		if err == nil {
			resp.Body.Close()
		}
		return resp, err
	}
	resp, err := get(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	require.Equal(t, uint16(tls.VersionTLS13), resp.TLS.Version)
	_, err = get(&tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS12})
	require.ErrorContains(t, err, "protocol version")
	_, err = get(&tls.Config{RootCAs: pool})
	require.ErrorContains(t, err, "certificate required")

	for _, test := range []struct {
		why   string
		flags []string
		code  int
		want  string
	}{
		{"plain text", nil, 1, "the master wants TLS"},
		{"an authority alone", []string{"--tls-ca", ours.ca()}, 2, "--tls-cert"},
		{"all of another authority", theirs.flags(theirs.ca(), "stranger"), 1, "is not trusted by --tls-ca"},
		{"a certificate of another authority", theirs.flags(ours.ca(), "liar"), 1, "does not trust --tls-cert"},
		{"no such file", []string{"--tls-ca", "/none", "--tls-cert", cert, "--tls-key", key}, 2, "/none"},
		{"key of another", []string{"--tls-ca", ours.ca(), "--tls-cert", cert, "--tls-key", theirs.ca()}, 2, "--tls-cert"},
	} {
		for _, command := range [][]string{{"members"}, {"tasks"}, {"run", "--", "true"}} {
			args := append([]string{command[0], "--master", c.seeds}, test.flags...)
			out, errs, code := meros(t, append(args, command[1:]...)...)
			require.Equal(t, test.code, code, "%s: %v: %s", test.why, command, errs)
			require.Empty(t, out)
			require.Equal(t, 1, strings.Count(errs, "\n"), "%s: %v: %s", test.why, command, errs)
			require.Contains(t, errs, test.want, "%s: %v", test.why, command)
		}
	}

	plain := startCluster(t, 1, 0)
	eventually(t, "the other cluster has a leader", func() bool { return plain.leader() != "" })
	_, errs, code = meros(t, append([]string{"members", "--master", plain.seeds}, c.tls...)...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "speaks plain text")
}

func TestPlainTextBeyondLoopbackNeedsInsecure(t *testing.T) {
	const address = "192.0.2.1:5050" // of nobody (RFC 5737); it is refused before anything is sent
	dir := folder(t)
	for _, args := range [][]string{
		{"master", "--listen", address, "--work-dir", filepath.Join(dir, "m")},
		{"master", "--listen", "0.0.0.0:5050", "--work-dir", filepath.Join(dir, "m")},
		{"slave", "--listen", address, "--master", "127.0.0.1:5050", "--work-dir", filepath.Join(dir, "s")},
		{"dev", "--listen", address},
		{"members", "--master", address},
		{"tasks", "--master", address},
		{"run", "--master", address, "--", "true"},
	} {
		_, errs, code := meros(t, args...)
		require.Equal(t, 2, code, "%v: %s", args, errs)
		require.Contains(t, errs, "plain text is allowed on loopback only", "%v", args)
		require.Equal(t, 1, strings.Count(errs, "\n"), "%v: %s", args, errs)
	}
	// All of the machine's addresses are beyond loopback too, but can be reached through it.
	own := ports(t, 1)[0]
	_, port, err := net.SplitHostPort(own)
	require.NoError(t, err)
	startNode(t, dir, "master", "master", "--insecure", "--listen", "0.0.0.0:"+port, "--advertise", own, "--work-dir", filepath.Join(dir, "m"))
	eventually(t, "it answers when that is allowed", func() bool {
		rows := list[memberRow](t, "members", "--master", own)
		return len(rows) == 1 && rows[0].Leader
	})
}
