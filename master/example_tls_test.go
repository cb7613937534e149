package master_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
)

// authority returns a function that makes the TLS configuration of one program, with a certificate in its name. A real one reads files.
func authority() func(name string) *tls.Config {
	certify := func(template, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		template.SerialNumber, template.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(time.Hour)
		if parent == nil {
			parent, signer = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
		if err != nil {
			panic(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			panic(err)
		}
		return cert, key
	}
	ca, caKey := certify(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return func(name string) *tls.Config {
		cert, key := certify(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}, ca, caKey)
		return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, RootCAs: pool, ClientCAs: pool}
	}
}

// With certificates on both sides, a program is who its certificate says: the common name is its principal, and it cannot claim another.
func ExampleConfig_tls() {
	certificate := authority()
	lns, masters := listen(1)
	m, err := master.New(master.Config{Election: election.Standalone(), Listener: lns[0], TLS: certificate("master-1")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer run(m.Run)()

	greet := framework.Funcs{OnSubscribed: func(_ context.Context, s *framework.Session) error {
		fmt.Println("welcome")
		return s.Teardown()
	}}
	cfg := framework.Config{Name: "payroll", Masters: masters, TLS: certificate("accounting")}
	fmt.Println(framework.Run(context.Background(), cfg, greet))

	cfg.Principal = "the-boss"
	err = framework.Run(context.Background(), cfg, greet)
	fmt.Println(errors.Is(err, &offer.Refusal{Reason: offer.ReasonForbidden}), err)
	// Output:
	// welcome
	// <nil>
	// true framework: principal "the-boss": the connection is authenticated as "accounting" (REASON_FORBIDDEN)
}
