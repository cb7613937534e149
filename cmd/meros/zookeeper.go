package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

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

// zkDetector finds the leader on the ensemble that the values of a flag name. It must be closed.
func zkDetector(flag string, values []string, log *slog.Logger) (*zookeeper.Detector, error) {
	address, err := zkAddress(flag, values)
	if err != nil {
		return nil, err
	}
	return zookeeper.NewDetector(zookeeper.DetectorConfig{Address: address, Logger: log})
}

// known replaces an address on an ensemble by that of the master that leads now.
func (f *masterFlags) known(ctx context.Context) (*masterFlags, error) {
	if !isZK(f.addresses) {
		return f, nil
	}
	d, err := zkDetector("master", f.addresses, nil)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	leader, err := d.Detect(ctx, election.Peer{})
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("the ensemble does not answer, or no master leads")
	}
	if err != nil {
		return nil, fmt.Errorf("the leading master cannot be found by --master: %w", err)
	}
	found := *f
	found.addresses = []string{leader.Address}
	return &found, nil
}

// zkFlags are those of a master whose elections are held on an ensemble.
type zkFlags struct {
	address []string
	timeout time.Duration
}

func (f *zkFlags) enabled() bool { return len(f.address) > 0 }

// elector is that of a master with this data folder.
func (f *zkFlags) elector(dir, cluster, id string) (election.Elector, error) {
	address, err := zkAddress("zk", f.address)
	if err != nil {
		return nil, err
	}
	return zookeeper.New(zookeeper.Config{Address: address, Cluster: cluster, NodeID: id, Dir: dir, SessionTimeout: f.timeout})
}

// check reports what does not go with --zk.
func (f *zkFlags) check(m *masterNodeFlags) error {
	if f.timeout < 300*time.Millisecond || f.timeout > 10*time.Minute {
		return badFlag("zk-session-timeout", f.timeout.String(), "must be from 300ms to 10m")
	}
	if !f.enabled() {
		return nil
	}
	if !isZK(f.address) {
		return usagef("--zk: must be zk://[USER:PASSWORD@]HOST[:PORT],.../PATH, or file:// and the path of a file with that")
	}
	if _, err := zkAddress("zk", f.address); err != nil {
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
