package main

import (
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/isolation/fetch"
	processes "github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

type slaveFlags struct {
	log        logFlags
	tls        tlsFlags
	gossip     gossipFlags
	masters    []string
	zk         zkTLS
	listen     string
	advertise  string
	workDir    string
	hostname   string
	resources  string
	attributes string
	taskUser   string
	allowRoot  bool
	grants     []string
	calls      []string
	isolation  isolationFlags
	ready      int
	images     imageFlags
	sandboxAge time.Duration
	headroom   float64
	fetchFiles []string
	fetchAllow []string
	fetchCache int64
	sessions   bool
	outputSize int64
	outputKeep int
}

func newSlave() *cobra.Command {
	f := &slaveFlags{}
	cmd := &cobra.Command{
		Use:   "slave",
		Short: "Run a slave: offer this machine's resources and run tasks on it",
		Long: `Run a slave. It finds the leading master by --master (any masters' addresses, or a path on a ZooKeeper ensemble) or by gossip (--join).

Its tasks outlive it: stop it, start it again on the same --work-dir, and they are still there.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.masters, "master", nil, "`HOST:PORT` of one master or more, with commas, any of which knows who leads, or zk://HOST,.../PATH; required without --join")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:5051", "`HOST:PORT` to serve sandboxes and health on")
	flags.StringVar(&f.advertise, "advertise", "", "`HOST:PORT` under which others reach --listen; the same by default")
	flags.StringVar(&f.workDir, "work-dir", "", "`folder` for sandboxes and for what a restart needs; required")
	flags.StringVar(&f.hostname, "hostname", "", "name shown in offers; the machine's by default")
	flags.StringVar(&f.resources, "resources", "", "what to offer, as in cpus:4;mem:8192;ports:[31000-32000]; the machine's by default")
	flags.StringVar(&f.attributes, "attributes", "", "facts to place by, as in rack:r1;zone:a; none by default")
	flags.StringVar(&f.taskUser, "task-user", "nobody", "operating system `user` of tasks that name none, where the slave runs as root")
	flags.BoolVar(&f.allowRoot, "allow-root-tasks", false, "let tasks run as root when they ask for it")
	flags.StringSliceVar(&f.grants, "task-capabilities", nil, "`NAMES` of capabilities that every task gets, with commas, as in net_bind_service; none by default; Linux only")
	flags.StringSliceVar(&f.calls, "allow-task-calls", nil, "`NAMES` of system calls, with commas, as in ptrace,io_uring_setup, that tasks may make although no ordinary\nprogram needs them, or all; none by default; Linux only")
	flags.StringVar(&f.isolation.cgroupRoot, "cgroup-root", "meros", "`cgroup` in which those of the tasks are made, below where cgroups are mounted")
	flags.IntVar(&f.isolation.processes, "task-processes", 4096, "most processes and threads of a task, 0 for no bound; needs the isolator cgroup")
	f.isolation.add(cmd)
	flags.IntVar(&f.ready, "ready-supervisors", 2, "supervisors that are kept ready, so that a task need not wait for its own; some MB each; 0 for none")
	f.images.add(cmd)
	flags.DurationVar(&f.sandboxAge, "sandbox-age", 7*24*time.Hour, "how long the folder of an ended task is kept on an empty disk; less the fuller it is")
	flags.Float64Var(&f.headroom, "disk-headroom", 0.1, "`share` of the disk to keep free of ended tasks' folders; 0 for none")
	flags.StringSliceVar(&f.fetchFiles, "fetch-files", nil, "`folder` that file:// URIs of tasks may be read from; may be repeated; none by default")
	flags.StringSliceVar(&f.fetchAllow, "fetch-allow", nil, "`range` of addresses, as in 127.0.0.0/8, that URIs of tasks may name though they are loopback, link-local or\nmetadata addresses, and that public ones may redirect to; may be repeated; none by default")
	flags.Int64Var(&f.fetchCache, "fetch-cache", 2048, "`MB` of disk for URIs that tasks want cached; 0 for no cache")
	flags.BoolVar(&f.sessions, "sessions", true, "let those who may talk to --listen run commands in tasks' containers and attach to tasks")
	flags.Int64Var(&f.outputSize, "output-size", 10, "`MB` that stdout and stderr of a task may each have before they are renamed to stdout.1 and stderr.1")
	flags.IntVar(&f.outputKeep, "output-files", 1, "how many of the renamed files are kept of each; 0 to 100")
	f.gossip.add(cmd)
	f.tls.add(cmd)
	f.zk.add(cmd)
	f.log.add(cmd)
	return cmd
}

// fetch is what may be fetched for tasks.
func (f *slaveFlags) fetch() (fetch.Config, error) {
	var cfg fetch.Config
	for _, folder := range f.fetchFiles {
		abs, err := filepath.Abs(folder)
		if err != nil {
			return cfg, err
		}
		if st, err := os.Stat(abs); err != nil || !st.IsDir() {
			return cfg, badFlag("fetch-files", folder, "must be a folder that exists")
		}
		cfg.Files = append(cfg.Files, abs)
	}
	for _, text := range f.fetchAllow {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return cfg, badFlag("fetch-allow", text, "must be a range of addresses, as in 127.0.0.0/8")
		}
		cfg.Allow = append(cfg.Allow, p)
	}
	switch {
	case f.fetchCache < 0 || f.fetchCache > 1<<30:
		return cfg, badFlag("fetch-cache", strconv.FormatInt(f.fetchCache, 10), "must be 0 or more, and at most 1073741824")
	case f.fetchCache == 0:
		cfg.Cache = "none"
	}
	cfg.CacheBytes = f.fetchCache << 20
	return cfg, nil
}

// keep says for how long the folders of ended tasks are kept, and how many supervisors for the next ones.
func (f *slaveFlags) keep(cfg *slave.Config) error {
	switch {
	case !(f.headroom >= 0 && f.headroom <= 1):
		return badFlag("disk-headroom", fmt.Sprint(f.headroom), "must be at most 1, and not below 0")
	case f.sandboxAge <= 0:
		return badFlag("sandbox-age", f.sandboxAge.String(), "must be more than zero, as in 168h")
	case f.ready < 0 || f.ready > 1000:
		return badFlag("ready-supervisors", strconv.Itoa(f.ready), "must be 0 or more, and at most 1000")
	}
	if cfg.ReadySupervisors = f.ready; f.ready == 0 {
		cfg.ReadySupervisors = -1
	}
	cfg.SandboxAge, cfg.DiskHeadroom = f.sandboxAge, f.headroom
	if f.headroom == 0 {
		cfg.DiskHeadroom = -1
	}
	switch {
	case f.outputSize < 1 || f.outputSize > offer.MaxOutputBytes>>20:
		return badFlag("output-size", strconv.FormatInt(f.outputSize, 10), fmt.Sprintf("must be from 1 to %d", offer.MaxOutputBytes>>20))
	case f.outputKeep < 0 || f.outputKeep > offer.MaxOutputFiles:
		return badFlag("output-files", strconv.Itoa(f.outputKeep), fmt.Sprintf("must be from 0 to %d", offer.MaxOutputFiles))
	}
	cfg.OutputBytes, cfg.OutputFiles, cfg.Sessions = f.outputSize<<20, f.outputKeep, f.sessions
	if f.outputKeep == 0 {
		cfg.OutputFiles = -1
	}
	return nil
}

func (f *slaveFlags) config() (slave.Config, error) {
	cfg := slave.Config{Masters: f.masters, Listen: f.listen, Advertise: f.advertise, WorkDir: f.workDir, Hostname: f.hostname, Insecure: f.tls.insecure,
		Version: version()}
	if f.workDir == "" {
		return cfg, badFlag("work-dir", "", "is required: a folder that survives a restart")
	}
	if err := checkMasters("master", f.masters, &f.zk); err != nil {
		return cfg, err
	}
	if isZK(f.masters) {
		cfg.Masters = nil // a detector takes their place
	}
	if err := checkAddress("listen", f.listen); err != nil {
		return cfg, err
	}
	if f.advertise != "" {
		if err := checkAddress("advertise", f.advertise); err != nil {
			return cfg, err
		}
	}
	if f.hostname == "" {
		cfg.Hostname, _ = os.Hostname()
	}
	var err error
	if f.resources != "" {
		if cfg.Resources, err = resource.Parse(f.resources); err != nil {
			return cfg, badFlag("resources", f.resources, err.Error())
		}
	}
	if cfg.Attributes, err = offer.ParseAttributes(f.attributes); err != nil {
		return cfg, badFlag("attributes", f.attributes, err.Error())
	}
	if _, err := user.Lookup(f.taskUser); err != nil {
		return cfg, badFlag("task-user", f.taskUser, "must be a user of this machine")
	}
	cfg.Process = processes.Config{User: f.taskUser, AllowRoot: f.allowRoot, Capabilities: f.grants, AllowCalls: f.calls}
	if err := (processes.Config{Capabilities: f.grants}).Validate(); err != nil {
		return cfg, badFlag("task-capabilities", strings.Join(f.grants, ","), "must be names of capabilities, as in net_bind_service")
	}
	if err := cfg.Process.Validate(); err != nil {
		return cfg, badFlag("allow-task-calls", strings.Join(f.calls, ","), "must be all, or of "+strings.Join(processes.DeniedCalls(), ", "))
	}
	if err := f.keep(&cfg); err != nil {
		return cfg, err
	}
	if err := f.isolation.config(&cfg); err != nil {
		return cfg, err
	}
	if cfg.Fetch, err = f.fetch(); err != nil {
		return cfg, err
	}
	if cfg.Image, err = f.images.config(); err != nil {
		return cfg, err
	}
	if cfg.TLS, err = f.tls.config(); err != nil {
		return cfg, err
	}
	if err := mayListen("listen", f.listen, cfg.TLS != nil || f.tls.insecure); err != nil {
		return cfg, err
	}
	cfg.Logger, err = f.log.logger()
	return cfg, err
}

func (f *slaveFlags) run(cmd *cobra.Command) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	if len(f.masters) == 0 && len(f.gossip.join) == 0 {
		return badFlag("master", "", "is required, or --join: without either the slave cannot find a master")
	}
	members, err := f.gossip.start(cmd.Context(), gossipSelf{role: "slave", address: cfg.Listen, advertise: cfg.Advertise, logger: cfg.Logger, insecure: f.tls.insecure})
	if err != nil {
		return err
	}
	defer members.stop()
	if isZK(f.masters) {
		d, err := zkDetector("master", f.masters, &f.zk, cfg.Logger)
		if err != nil {
			return err
		}
		defer d.Close()
		cfg.Detector = d
	} else if len(f.masters) == 0 {
		cfg.Detector = members.detector()
	}
	s, err := slave.New(cfg)
	if err != nil {
		return &usageError{err}
	}
	return s.Run(cmd.Context())
}
