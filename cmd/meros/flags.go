package main

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/framework"
)

// tlsFlags are shared by everything that talks to the cluster.
type tlsFlags struct {
	ca, cert, key string
	insecure      bool
}

func (f *tlsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.ca, "tls-ca", "", "PEM `file` with the certificates that the cluster's nodes are signed by; plain text by default")
	cmd.Flags().StringVar(&f.cert, "tls-cert", "", "PEM `file` with this node's certificate; required with --tls-ca")
	cmd.Flags().StringVar(&f.key, "tls-key", "", "PEM `file` with the key of --tls-cert; required with --tls-ca")
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "allow plain text beyond loopback: anyone who can reach the port can run commands; off by default")
}

// config is nil when no TLS flag is set.
func (f *tlsFlags) config() (*tls.Config, error) {
	if f.ca == "" && f.cert == "" && f.key == "" {
		return nil, nil
	}
	for _, need := range []struct{ name, value string }{{"tls-ca", f.ca}, {"tls-cert", f.cert}, {"tls-key", f.key}} {
		if need.value == "" {
			return nil, badFlag(need.name, "", "must be set: --tls-ca, --tls-cert and --tls-key go together")
		}
	}
	pem, err := os.ReadFile(f.ca)
	if err != nil {
		return nil, badFlag("tls-ca", f.ca, err.Error())
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, badFlag("tls-ca", f.ca, "must hold at least one PEM certificate")
	}
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	if err != nil {
		return nil, badFlag("tls-cert", f.cert, err.Error())
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, ClientCAs: pool, Certificates: []tls.Certificate{pair},
		ClientAuth: tls.RequireAndVerifyClientCert}, nil
}

// masterFlags say where the masters are, for commands that are clients.
type masterFlags struct {
	addresses []string
	tls       tlsFlags
	zk        zkTLS
}

// check reports an address that is not allowed.
func (f *masterFlags) check() error {
	if err := checkMasters("master", f.addresses, &f.zk); err != nil || isZK(f.addresses) {
		return err
	}
	return f.mayDial()
}

func (f *masterFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.addresses, "master", []string{"127.0.0.1:5050"}, "`HOST:PORT` of one master or more, with commas, any of which knows who leads, or zk://HOST,.../PATH")
	f.tls.add(cmd)
	f.zk.add(cmd)
}

func checkAddresses(flag string, addresses []string) error {
	for _, a := range addresses {
		if err := checkAddress(flag, a); err != nil {
			return err
		}
	}
	return nil
}

func checkAddress(flag, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" || strings.ContainsAny(host, " /") {
		return badFlag(flag, address, "must be HOST:PORT, as in 127.0.0.1:5050")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return badFlag(flag, address, "must have a port from 0 to 65535")
	}
	return nil
}

// framework fills in where the masters are. A Detector that is an io.Closer must be closed.
func (f *masterFlags) framework(cfg *framework.Config) error {
	err := f.check()
	if err != nil {
		return err
	}
	cfg.Insecure = f.tls.insecure
	if isZK(f.addresses) {
		if cfg.Detector, err = zkDetector("master", f.addresses, &f.zk, cfg.Logger); err != nil {
			return err
		}
	} else {
		cfg.Masters = f.addresses
	}
	cfg.TLS, err = f.tls.config()
	return err
}

// mayDial refuses addresses that are plainly beyond loopback, before anything is tried; names are looked at when they are dialed.
func (f *masterFlags) mayDial() error {
	for _, a := range f.addresses {
		if host, _, _ := net.SplitHostPort(a); net.ParseIP(host) != nil {
			if err := mayListen("master", a, f.tls.ca != "" || f.tls.insecure); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *masterFlags) scheme() string {
	if f.tls.ca != "" {
		return "https"
	}
	return "http"
}

// http is a client for masters and slaves. It follows a master's redirect to the leader.
func (f *masterFlags) http() (*http.Client, error) {
	config, err := f.tls.config()
	if err != nil {
		return nil, err
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	return &http.Client{Transport: &http.Transport{DialContext: f.dial, TLSClientConfig: config, MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second},
		Timeout: askTimeout}, nil
}
