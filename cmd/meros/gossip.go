package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/discovery"
)

// gossipFlags say how nodes find each other without a list of addresses.
type gossipFlags struct {
	bind    string
	join    []string
	keyFile string
	cluster string
}

func (f *gossipFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.bind, "gossip", "", "`HOST:PORT` to gossip on, TCP and UDP; by default none, or with --join 127.0.0.1:7946")
	cmd.Flags().StringSliceVar(&f.join, "join", nil, "gossip `HOST:PORT` of one node or more, with commas, to find the others by; none by default")
	cmd.Flags().StringVar(&f.keyFile, "gossip-key", "", "`file` with the key of all gossip: 16, 24 or 32 bytes in base64; none by default, required beyond loopback. "+
		"It may have more keys, one a line, which are understood too, and is read again when it changes")
	cmd.Flags().StringVar(&f.cluster, "cluster", "meros", "`name` of the cluster; nodes of other names are refused")
}

func (f *gossipFlags) enabled() bool { return f.bind != "" || len(f.join) > 0 }

func (f *gossipFlags) config(log *slog.Logger, insecure bool) (discovery.Config, error) {
	cfg := discovery.Config{Bind: f.bind, Cluster: f.cluster, Join: f.join, Logger: log, Insecure: insecure}
	if f.bind != "" {
		if err := checkAddress("gossip", f.bind); err != nil {
			return cfg, err
		}
	}
	if err := checkAddresses("join", f.join); err != nil {
		return cfg, err
	}
	if f.keyFile != "" {
		keys, err := readKeys(f.keyFile)
		if err != nil {
			return cfg, badFlag("gossip-key", f.keyFile, err.Error())
		}
		cfg.Key, cfg.MoreKeys = keys[0], keys[1:]
	}
	return cfg, nil
}

// readKeys reads a file of keys, one a line: the first encrypts, all of them are understood.
func readKeys(file string) (keys [][]byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || !slices.Contains([]int{16, 24, 32}, len(key)) {
			return nil, errKeys
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errKeys
	}
	return keys, nil
}

var errKeys = errors.New("must hold 16, 24 or 32 bytes in base64, as from: head -c 32 /dev/urandom | base64")

// keyMarks tell which keys a node has, the one that encrypts first, so that all can see when a change of the key has arrived everywhere.
func keyMarks(keys [][]byte) string {
	var marks []string
	for _, k := range keys {
		marks = append(marks, discovery.KeyMark(k))
	}
	return strings.Join(marks, " ")
}

const (
	tagKeys   = "keys"
	keysEvery = 2 * time.Second // the file of keys is looked at
)

// followKeys takes over what the file of keys has become, until ctx ends. A file that is wrong changes nothing.
func (g *gossip) followKeys(ctx context.Context, file string, have [][]byte) {
	tick := time.NewTicker(keysEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		keys, err := readKeys(file)
		if err == nil && keyMarks(keys) == keyMarks(have) {
			said = ""
			continue
		}
		if err == nil {
			err = g.node.SetKeys(keys...)
		}
		if err != nil {
			if said != err.Error() {
				said = err.Error()
				g.log.Warn("the keys of the gossip were not changed", "file", file, "err", err)
			}
			continue
		}
		have, said = keys, ""
		g.log.Info("the keys of the gossip were changed", "file", file, "keys", keyMarks(keys))
		if err := g.node.UpdateTags(map[string]string{tagKeys: keyMarks(keys)}); err != nil {
			g.log.Warn("the change of keys is not announced", "err", err)
		}
	}
}

// gossipSelf is what a node tells of itself.
type gossipSelf struct {
	role, address, advertise string
	logger                   *slog.Logger
	insecure                 bool
}

// gossip is this process's membership, or nothing when no gossip flag is set.
type gossip struct {
	node *discovery.Gossip
	log  *slog.Logger
	end  context.CancelFunc
	wg   sync.WaitGroup
}

// start joins the gossip in the background. What it returns must be stopped.
func (f *gossipFlags) start(ctx context.Context, self gossipSelf) (*gossip, error) {
	g := &gossip{log: self.logger, end: func() {}}
	if !f.enabled() {
		return g, nil
	}
	cfg, err := f.config(self.logger, self.insecure)
	if err != nil {
		return nil, err
	}
	address := self.advertise
	if address == "" {
		address = self.address
	}
	cfg.Tags = map[string]string{discovery.TagRole: self.role, discovery.TagAddress: address, discovery.TagVersion: version()}
	keys := cfg.MoreKeys
	if len(cfg.Key) > 0 {
		keys = append([][]byte{cfg.Key}, keys...)
		cfg.Tags[tagKeys] = keyMarks(keys)
	}
	cfg.Name = self.role + "-" + strings.NewReplacer("[", "", "]", "", "%", "-").Replace(address)
	if strings.HasSuffix(address, ":0") {
		cfg.Name = "" // a random one: the address does not tell this node from others
	}
	if g.node, err = discovery.New(cfg); err != nil {
		return nil, &usageError{err}
	}
	// It leaves after the node has stopped, so that the others hear of a resignation first.
	ctx, g.end = context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, 1)
	g.wg.Go(func() {
		if err := g.node.Run(ctx); err != nil {
			g.log.Error("gossip stopped", "err", err)
			failed <- err
		}
	})
	select {
	case err := <-failed:
		g.stop()
		return nil, err
	case <-g.node.Ready():
	}
	if len(keys) > 0 {
		g.wg.Go(func() { g.followKeys(ctx, f.keyFile, keys) })
	}
	return g, nil
}

func (g *gossip) stop() {
	g.end()
	g.wg.Wait()
}

func (g *gossip) detector() election.Detector { return g.node.Detector() }

// leads tells the others that this master leads, or with reign 0 that it has ceased to.
func (g *gossip) leads(reign uint64) {
	if g.node == nil {
		return
	}
	if err := g.node.Lead(reign); err != nil {
		g.log.Warn("the leader could not be announced", "err", err)
	}
}

// masters waits until exactly n masters have met and returns their addresses, in the same order on each of them. More than n is an
// error: it cannot be known which of them are meant.
func (g *gossip) masters(ctx context.Context, n int) ([]string, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var met []string
		for _, m := range g.node.Members() {
			if m.State == discovery.Alive && m.Tags[discovery.TagRole] == discovery.RoleMaster && m.Tags[discovery.TagAddress] != "" {
				met = append(met, m.Tags[discovery.TagAddress])
			}
		}
		slices.Sort(met)
		met = slices.Compact(met)
		if len(met) > n {
			return nil, badFlag("expect", strconv.Itoa(n), fmt.Sprintf("but %d masters have met (%s): start those of a new cluster only", len(met), strings.Join(met, " ")))
		}
		if len(met) == n {
			return met, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// mayListen refuses plain text beyond loopback.
func mayListen(flag, address string, allowed bool) error {
	host, _, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); allowed || host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return badFlag(flag, address, "plain text is allowed on loopback only; set --tls-ca, --tls-cert and --tls-key, or --insecure")
}
