package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/master"
)

type masterNodeFlags struct {
	log       logFlags
	tls       tlsFlags
	gossip    gossipFlags
	zk        zkFlags
	listen    string
	advertise string
	workDir   string
	masters   []string
	expect    int
	newMember bool
	token     string
	nonVoter  bool
	nodeID    string
	recover   bool
	heartbeat time.Duration
	offers    time.Duration
	record    string
	recordMiB int
	recordN   int
}

func newMaster() *cobra.Command {
	f := &masterNodeFlags{}
	cmd := &cobra.Command{
		Use:   "master",
		Short: "Run a master: elect a leader with the others and make offers",
		Long: `Run a master. Masters that are to form one cluster are told of each other once, at their first start:

  --masters A,B,C       the addresses of all of them, or
  --join X --expect 3   any gossip address; they wait until three have met
  --zk zk://H1,H2/P     a path on a ZooKeeper ensemble, where they meet and which keeps the log

Without any of them, the master is a cluster of its own. Later starts read the work directory. A master that is to join a running cluster is
started with --new-member --token TOKEN, with a token of its own that meros members --token prints; or with --new-member alone, and is then added
with: meros members --add HOST:PORT`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:5050", "`HOST:PORT` for masters, slaves, frameworks and HTTP")
	flags.StringVar(&f.advertise, "advertise", "", "`HOST:PORT` under which others reach --listen; the same by default")
	flags.StringVar(&f.workDir, "work-dir", "", "`folder` for the log of the cluster's decisions; required")
	flags.StringSliceVar(&f.masters, "masters", nil, "`HOST:PORT` of every master of a new cluster, with commas, this one included; by default this one alone")
	flags.IntVar(&f.expect, "expect", 0, "with --join or --gossip: the `number` of masters that form a new cluster; required with --join, unless --masters or --new-member is set")
	flags.BoolVar(&f.newMember, "new-member", false, "with an empty --work-dir: wait to be added to a running cluster")
	flags.StringVar(&f.token, "token", "", "with --new-member: join by this `token` of meros members --token, or by that in a file, file:// and its path; by default somebody adds this master")
	flags.BoolVar(&f.nonVoter, "non-voter", false, "with --token: follow the others without a vote")
	flags.StringVar(&f.nodeID, "id", "", "this master's `id`, unique in the cluster for ever; derived from its address at the first start by default")
	flags.BoolVar(&f.recover, "recover", false, "accept a work directory that was restored from an older copy: decisions may be lost; off by default")
	flags.DurationVar(&f.heartbeat, "election-timeout", 0, "how long a silent leader is waited for; 500ms by default")
	flags.DurationVar(&f.offers, "offer-timeout", 0, "how long an offer may stay unanswered, below zero for ever; 2m by default")
	flags.StringVar(&f.record, "record", "", "`folder`, of this master alone, to record in what it is told while it leads, for meros replay; nothing is recorded by default")
	flags.IntVar(&f.recordMiB, "record-mib", 64, "`size` in MiB of one file of --record, about")
	flags.IntVar(&f.recordN, "record-files", 16, "`number` of files that --record keeps; the oldest are removed")
	flags.StringSliceVar(&f.zk.address, "zk", nil, "elect the leader on a ZooKeeper ensemble: `zk://USER:PASSWORD@HOST:PORT,.../PATH`, or file:// and the path of a file with that;\nUSER and PASSWORD are for digest, SASL is not supported; by default masters elect among themselves")
	f.zk.tls.add(cmd)
	flags.DurationVar(&f.zk.timeout, "zk-session-timeout", 10*time.Second, "with --zk: after how long without a word the ensemble lets another master lead")
	f.gossip.add(cmd)
	f.tls.add(cmd)
	f.log.add(cmd)
	return cmd
}

// recorder is the configuration of --record.
func (f *masterNodeFlags) recorder() master.Recorder {
	if f.record == "" {
		return master.Recorder{}
	}
	return master.Recorder{Dir: f.record, MaxBytes: int64(f.recordMiB) << 20, MaxFiles: f.recordN}
}

// check reports the first flag with a value that is not allowed.
func (f *masterNodeFlags) check() error {
	if f.workDir == "" {
		return badFlag("work-dir", "", "is required: a folder that survives a restart")
	}
	if err := checkAddress("listen", f.listen); err != nil {
		return err
	}
	if f.advertise == "" {
		f.advertise = f.listen
	}
	if err := checkAddress("advertise", f.advertise); err != nil {
		return err
	}
	if strings.HasSuffix(f.advertise, ":0") {
		return badFlag("advertise", f.advertise, "must have a port other than 0, by which the other masters find this one")
	}
	if err := checkAddresses("masters", f.masters); err != nil {
		return err
	}
	if len(f.masters) > 0 && !slices.Contains(f.masters, f.advertise) {
		return badFlag("masters", strings.Join(f.masters, ","), "must contain this master's own address "+f.advertise)
	}
	if err := f.zk.check(f); err != nil {
		return err
	}
	switch {
	case f.expect < 0 || f.expect > 9:
		return badFlag("expect", fmt.Sprint(f.expect), "must be from 1 to 9")
	case f.expect > 0 && len(f.masters) > 0:
		return badFlag("expect", fmt.Sprint(f.expect), "must not be set with --masters, which says how many there are")
	case f.expect > 0 && !f.gossip.enabled():
		return badFlag("expect", fmt.Sprint(f.expect), "needs --gossip or --join, by which the masters meet")
	case f.expect == 0 && len(f.gossip.join) > 0 && len(f.masters) == 0 && !f.newMember && !f.zk.enabled():
		return badFlag("expect", "0", "must be set with --join, or --masters, or --new-member: how many masters form the cluster?")
	case f.newMember && (f.expect > 0 || len(f.masters) > 0):
		return badFlag("new-member", "true", "must not be set with --masters or --expect: it joins a cluster that is there")
	case f.token != "" && !f.newMember:
		return usagef("--token: needs --new-member: it lets a new master join a cluster that is there")
	case f.nonVoter && f.token == "":
		return badFlag("non-voter", "true", "needs --token; without one, it is a flag of meros members --add")
	case f.heartbeat != 0 && (f.heartbeat < 20*time.Millisecond || f.heartbeat > time.Minute):
		return badFlag("election-timeout", f.heartbeat.String(), "must be from 20ms to 1m")
	case f.recordMiB < 1 || f.recordMiB > 1<<20:
		return badFlag("record-mib", fmt.Sprint(f.recordMiB), "must be from 1 to 1048576")
	case f.recordN < 1 || f.recordN > 100_000:
		return badFlag("record-files", fmt.Sprint(f.recordN), "must be from 1 to 100000")
	}
	return nil
}

func (f *masterNodeFlags) run(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	log, err := f.log.logger()
	if err != nil {
		return err
	}
	tlsConfig, err := f.tls.config()
	if err != nil {
		return err
	}
	if err := mayListen("listen", f.listen, tlsConfig != nil || f.tls.insecure); err != nil {
		return err
	}
	join, err := f.joining()
	if err == nil {
		err = join.present(cmd.Context())
	}
	if err != nil {
		return err
	}
	members, err := f.gossip.start(cmd.Context(), gossipSelf{role: "master", address: f.listen, advertise: f.advertise, logger: log, insecure: f.tls.insecure})
	if err != nil {
		return err
	}
	defer members.stop()
	elector, err := f.elector(cmd.Context(), members, log)
	if err != nil {
		return err
	}
	m, err := master.New(master.Config{Election: elector, Version: version(), Listen: f.listen, Advertise: f.advertise, ClusterName: f.gossip.cluster, TLS: tlsConfig,
		Insecure: f.tls.insecure, Logger: log, OfferTimeout: f.offers, Recorder: f.recorder(),
		Hooks: master.Hooks{Elected: members.leads, Deposed: func(uint64) { members.leads(0) }}})
	if err != nil {
		return &usageError{err}
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	var asking sync.WaitGroup
	asking.Go(func() { join.vote(ctx, log) })
	defer asking.Wait()
	defer cancel()
	return m.Run(ctx)
}

// elector is what --zk names, or else that of masters who elect among themselves.
func (f *masterNodeFlags) elector(ctx context.Context, members *gossip, log *slog.Logger) (election.Elector, error) {
	if f.zk.enabled() {
		e, err := f.zk.elector(f.workDir, f.gossip.cluster, f.nodeID)
		if err != nil {
			return nil, &usageError{err}
		}
		return e, nil
	}
	var err error
	config := raft.Config{Dir: f.workDir, Cluster: f.gossip.cluster, Join: f.newMember || f.expect > 0 && !raft.IsNew(f.workDir), Recover: f.recover, HeartbeatTimeout: f.heartbeat}
	config.NodeID, config.Meet = f.nodeID, f.expect > 0
	if f.newMember && f.nodeID == "" && raft.IsNew(f.workDir) {
		config.NodeID = raft.DeriveID(f.advertise)
	}
	if config.Bootstrap, err = f.peers(ctx, members, log); err != nil {
		return nil, err
	}
	e, err := raft.New(config)
	if err != nil {
		return nil, &usageError{err}
	}
	return e, nil
}

// peers are the masters of a new cluster: those of --masters, or those that have met by gossip. With a work directory that has been used,
// those that have met before are in its log; if it holds none, the master waits to be added, so that there can never be two clusters.
func (f *masterNodeFlags) peers(ctx context.Context, members *gossip, log *slog.Logger) ([]election.Peer, error) {
	addresses := f.masters
	if f.expect > 0 && raft.IsNew(f.workDir) {
		log.Info("waiting for the other masters", "expect", f.expect)
		var err error
		if addresses, err = members.masters(ctx, f.expect); err != nil {
			return nil, err
		}
		log.Info("the masters have met", "masters", addresses)
	}
	var peers []election.Peer
	for _, a := range addresses {
		peers = append(peers, election.Peer{Address: a})
	}
	return peers, nil
}
