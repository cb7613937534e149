package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/zookeeper"
)

const (
	fileScheme = "file://"
	maxZKFile  = 8 << 10
)

// isZK tells whether the values of a flag, which was cut at commas, are the address of a path on a ZooKeeper ensemble, or of a file with one.
func isZK(values []string) bool {
	return len(values) > 0 && (zookeeper.IsAddress(values[0]) || strings.HasPrefix(values[0], fileScheme))
}

// zkAddress puts such values together again and checks them. Its errors never show a password.
func zkAddress(flag string, values []string) (string, error) {
	address := strings.Join(values, ",")
	if path, ok := strings.CutPrefix(address, fileScheme); ok {
		st, err := os.Stat(path)
		if err == nil && (!st.Mode().IsRegular() || st.Size() > maxZKFile) {
			err = errors.New("must be a file with one line, zk://USER:PASSWORD@HOST,.../PATH")
		}
		var text []byte
		if err == nil {
			text, err = os.ReadFile(path)
		}
		if err != nil {
			return "", badFlag(flag, address, err.Error())
		}
		address = strings.TrimSpace(string(text))
	}
	if _, err := zookeeper.ParseAddress(address); err != nil {
		return "", usagef("--%s: %w", flag, err)
	}
	return address, nil
}

// checkMasters reports values of a flag that are neither masters' addresses nor one on an ensemble. What may hold a password is not shown.
func checkMasters(flag string, values []string, secure *zkTLS) error {
	if isZK(values) {
		if _, err := zkAddress(flag, values); err != nil {
			return err
		}
		_, err := secure.config()
		return err
	}
	if secure.set() {
		return usagef("--zk-tls-ca, --zk-tls-cert and --zk-tls-key: need --%s zk://HOST,.../PATH", flag)
	}
	if all := strings.Join(values, ","); strings.ContainsAny(all, "/@") {
		return usagef("--%s: %smust be HOST:PORT, as in 127.0.0.1:5050, or zk://[USER:PASSWORD@]HOST[:PORT],.../PATH, or file:// and the path of a file with that",
			flag, unknownScheme(all))
	}
	return checkAddresses(flag, values)
}

// unknownScheme names the scheme of an address, to be followed by those that there are.
func unknownScheme(address string) string {
	scheme, _, ok := strings.Cut(address, "://")
	if !ok || strings.ContainsAny(scheme, "/@:,") {
		return ""
	}
	return fmt.Sprintf("unknown scheme %.20q: ", scheme)
}

// zkTLS is how the ensemble is reached.
type zkTLS struct{ ca, cert, key string }

func (f *zkTLS) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.ca, "zk-tls-ca", "", "PEM `file` with the certificates that the ZooKeeper servers are signed by; plain text to them by default")
	cmd.Flags().StringVar(&f.cert, "zk-tls-cert", "", "PEM `file` with the certificate that is shown to the ZooKeeper servers; none by default")
	cmd.Flags().StringVar(&f.key, "zk-tls-key", "", "PEM `file` with the key of --zk-tls-cert; none by default")
}

func (f *zkTLS) set() bool { return f.ca != "" || f.cert != "" || f.key != "" }

// config is nil when no flag is set.
func (f *zkTLS) config() (*tls.Config, error) {
	switch {
	case !f.set():
		return nil, nil
	case f.ca == "":
		return nil, badFlag("zk-tls-ca", "", "must be set with --zk-tls-cert and --zk-tls-key")
	case (f.cert == "") != (f.key == ""):
		return nil, usagef("--zk-tls-cert and --zk-tls-key: must be set together")
	}
	pem, err := os.ReadFile(f.ca)
	if err != nil {
		return nil, badFlag("zk-tls-ca", f.ca, err.Error())
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, badFlag("zk-tls-ca", f.ca, "must hold at least one PEM certificate")
	}
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, badFlag("zk-tls-cert", f.cert, err.Error())
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// zkDetector finds the leader on the ensemble that the values of a flag name. It must be closed.
func zkDetector(flag string, values []string, secure *zkTLS, log *slog.Logger) (*zookeeper.Detector, error) {
	address, err := zkAddress(flag, values)
	if err != nil {
		return nil, err
	}
	config, err := secure.config()
	if err != nil {
		return nil, err
	}
	return zookeeper.NewDetector(zookeeper.DetectorConfig{Address: address, TLS: config, Logger: log})
}

// known replaces an address on an ensemble by that of the master that leads now.
func (f *masterFlags) known(ctx context.Context) (*masterFlags, error) {
	if !isZK(f.addresses) {
		return f, nil
	}
	d, err := zkDetector("master", f.addresses, &f.zk, nil)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	leader, err := d.Detect(ctx, election.Peer{})
	if errors.Is(err, context.DeadlineExceeded) {
		text := "the ensemble does not answer, or no master leads"
		if _, why, ok := strings.Cut(err.Error(), context.DeadlineExceeded.Error()+": "); ok {
			text = "the ensemble does not answer: " + why
		}
		err = errors.New(text)
	}
	if err != nil {
		return nil, fmt.Errorf("the leading master cannot be found by --master: %w", err)
	}
	found := *f
	found.addresses, found.zk = []string{leader.Address}, zkTLS{}
	return &found, nil
}

// zkFlags are those of a master whose elections are held on an ensemble.
type zkFlags struct {
	address []string
	timeout time.Duration
	tls     zkTLS
}

func (f *zkFlags) enabled() bool { return len(f.address) > 0 }

// elector is that of a master with this data folder.
func (f *zkFlags) elector(dir, cluster, id string) (election.Elector, error) {
	address, err := zkAddress("zk", f.address)
	if err != nil {
		return nil, err
	}
	config, err := f.tls.config()
	if err != nil {
		return nil, err
	}
	return zookeeper.New(zookeeper.Config{Address: address, Cluster: cluster, NodeID: id, Dir: dir, SessionTimeout: f.timeout, TLS: config})
}

// check reports what does not go with --zk.
func (f *zkFlags) check(m *masterNodeFlags) error {
	if f.timeout < 300*time.Millisecond || f.timeout > 10*time.Minute {
		return badFlag("zk-session-timeout", f.timeout.String(), "must be from 300ms to 10m")
	}
	if !f.enabled() {
		if f.tls.set() {
			return usagef("--zk-tls-ca, --zk-tls-cert and --zk-tls-key: need --zk")
		}
		return nil
	}
	if !isZK(f.address) {
		return usagef("--zk: %smust be zk://[USER:PASSWORD@]HOST[:PORT],.../PATH, or file:// and the path of a file with that",
			unknownScheme(strings.Join(f.address, ",")))
	}
	if _, err := zkAddress("zk", f.address); err != nil {
		return err
	}
	if _, err := f.tls.config(); err != nil {
		return err
	}
	for _, other := range []struct {
		flag string
		set  bool
	}{{"masters", len(m.masters) > 0}, {"expect", m.expect > 0}, {"new-member", m.newMember}, {"recover", m.recover}, {"election-timeout", m.heartbeat != 0}} {
		if other.set {
			return usagef("--%s: must not be set with --zk: masters meet on the ensemble, and it keeps the log", other.flag)
		}
	}
	return nil
}
