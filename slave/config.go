package slave

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/disk"
	"github.com/meros-project/meros/isolation/fetch"
	"github.com/meros-project/meros/isolation/image"
	"github.com/meros-project/meros/isolation/namespace"
	"github.com/meros-project/meros/isolation/ports"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A Network is where sockets come from. Master, slave and framework have the same one, so that one value serves all three.
type Network interface {
	// Listen opens a listener on address, host:port. The caller closes it.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// Dial opens a connection to address; ctx bounds the time that it takes. The caller closes it.
	Dial(ctx context.Context, address string) (net.Conn, error)
}

// Config is what a Slave is made of. Only WorkDir and one of Masters and Detector are required.
type Config struct {
	// WorkDir is the folder for everything that the slave keeps: its journal, the sandboxes and the volumes. It is made when it is
	// missing. One process uses it at a time, and it belongs to one cluster for ever. Required.
	WorkDir string
	// RuntimeDir is the folder for supervisors and sockets; its path is short because a socket's must be. It must outlive the slave's
	// process, and need not outlive the machine's boot. Defaults to "run" in WorkDir, or, where that path is too long, to a folder in /tmp named
	// after it. Where that is what it is, a slave that is root has what it can of it in a folder of its own in /run/meros or /dev/shm/meros, where that is a
	// file system in memory: tasks start faster then.
	RuntimeDir string

	// Masters are addresses of masters, host:port: any of them tells who leads. Defaults to none; then Detector is required.
	Masters []string
	// Detector finds the leader some other way. The caller closes it. Defaults to asking Masters.
	Detector election.Detector
	// Cluster, if set, is the id of the cluster that the slave must belong to: a WorkDir of another is refused. Defaults to any.
	Cluster offer.ClusterID

	// Listener serves sandbox files and health over HTTP; the slave closes it. Defaults to one on Listen.
	Listener net.Listener
	// Listen is the address to listen on if there is no Listener, "none" for no listener at all. Defaults to 127.0.0.1:5051, and to
	// "none" if Network is set.
	Listen string
	// Advertise is the host:port that masters and frameworks are told. Defaults to the listener's address, with Hostname where it
	// listens on all addresses.
	Advertise string

	// Hostname is what frameworks see. Defaults to the machine's.
	Hostname string
	// Resources are what the slave has to offer. Defaults to all processors, memory and disk less what the system needs (half, at most
	// 1 GiB and 5 GiB), and the ports 31000 to 32000. They may change from run to run as long as what is reserved and what runs fits.
	Resources resource.Resources
	// Attributes are facts that frameworks place by. Defaults to none.
	Attributes []offer.Attribute
	// Domain is the fault domain. Defaults to unknown.
	Domain offer.Domain
	// Version is that of the host program, for operators. Defaults to none.
	Version string

	// Isolators names what tasks are held by: "process", which must be among them, "cgroup", "namespace", "image", "disk" and "ports". What is named and does not work on this
	// machine keeps the slave from running. Defaults to all that work, with a line in the log about what is missing.
	Isolators []string
	// Process is the configuration of the process isolator. Defaults to its defaults.
	Process process.Config
	// Cgroup is the configuration of the cgroup isolator, whose Slave is filled in. Defaults to its defaults.
	Cgroup cgroup.Config
	// Namespace is the configuration of the namespace isolator. Defaults to its defaults: no path of the machine is shown as a volume.
	Namespace namespace.Config
	// Image is the configuration of the image isolator. Store.Dir defaults to a folder in WorkDir, and AllowRoot is that of Process; the other
	// fields default to what package image says: no registry and no folder that images may come from.
	Image image.Config
	// Disk is the configuration of the disk isolator, whose Root and Volume are filled in. Defaults to its defaults: what is over its disk is killed.
	Disk disk.Config
	// Ports is the configuration of the ports isolator. Defaults to its defaults: who listens on a port of somebody else's is logged.
	Ports ports.Config
	// Isolation is what tasks are held by instead of Isolators; it includes the process isolator, which says what to start. It is not used
	// with a Runner. Defaults to Isolators.
	Isolation isolation.Chain
	// Fetch says what may be fetched for tasks, and what is kept of it. It is not used with a Runner. Cache defaults to a folder in WorkDir,
	// "none" for none; the other fields to what package fetch says: http and https from public and private addresses, no file URIs.
	Fetch fetch.Config
	// Runner starts tasks. The slave opens and closes it. Defaults to real processes with a supervisor each.
	Runner isolation.Runner

	// ReadySupervisors is how many supervisors are kept ready, so that a task need not wait for its own to be started. Each takes the memory
	// of an idle process, some 5 MiB, and ends with the slave. It is not used with a Runner. Defaults to 2; negative means none.
	ReadySupervisors int

	// Executors takes the connections of custom executors, with its address in MEROS_EXECUTOR_SOCKET; the slave closes it. It is for a Runner
	// whose executors live in this process: a listener of which anybody may know the address. Defaults to a socket in RuntimeDir.
	Executors net.Listener

	// TLS secures the connection to the master, and the listener if it has certificates. Defaults to plain text, which works on
	// loopback only.
	TLS *tls.Config
	// Insecure allows plain text beyond loopback. Defaults to false.
	Insecure bool
	// Network is where sockets come from. Defaults to TCP.
	Network Network

	// Sessions lets whoever reaches the listener or the Handler run commands in the containers of tasks, see what they print, and type to those
	// that read: everything that their users may do. With TLS that is whoever TLS lets in. Defaults to false.
	Sessions bool

	// OutputBytes is how large stdout and stderr in a sandbox may each grow, in bytes, before they are renamed to stdout.1 and stderr.1, from
	// offer.MinOutputBytes to offer.MaxOutputBytes. Tasks can say otherwise. It is not used with a Runner. Defaults to 10 MiB.
	OutputBytes int64
	// OutputFiles is how many of the renamed files are kept of each, at most offer.MaxOutputFiles; negative means none. Tasks can say otherwise.
	// It is not used with a Runner. Defaults to 1.
	OutputFiles int

	// Leave makes the end of Run's context a farewell: tasks are killed and the slave unregisters. Defaults to false: tasks go on and
	// the next run on the same WorkDir finds them.
	Leave bool

	// ExecutorRegistrationTimeout is how long a new executor has to subscribe. Defaults to 1 min.
	ExecutorRegistrationTimeout time.Duration
	// ExecutorReregistrationTimeout is how long executors have to come back after a restart of the slave. Defaults to 2 s.
	ExecutorReregistrationTimeout time.Duration
	// ExecutorShutdownGrace is what executors without a grace of their own get. Defaults to 5 s.
	ExecutorShutdownGrace time.Duration
	// PingTimeout is how long the master may be silent before the slave looks for another. Defaults to 75 s.
	PingTimeout time.Duration
	// StopTimeout is how long a slave that leaves waits for its tasks to end. Defaults to 1 min.
	StopTimeout time.Duration
	// MaxTasks bounds the tasks that the slave holds at once; a master takes back at most twice the default. Defaults to 25,000.
	MaxTasks int
	// MaxProbes bounds the checks of tasks that are made at once, each by a goroutine or by a command in a container. No framework's take more
	// than half of them. Defaults to 64.
	MaxProbes int
	// SandboxAge is how long a sandbox is kept after its task has ended, if the disk were empty: the fuller it is, the shorter. What counts is
	// SandboxAge times what is free beyond DiskHeadroom, as a share of the disk. Defaults to a week.
	SandboxAge time.Duration
	// DiskHeadroom is the share of the disk, up to 1, that sandboxes are to leave free: where less is, none is kept that is not in use. Defaults
	// to 0.1; negative means none.
	DiskHeadroom float64
	// CollectEvery is how often the slave looks whether there are sandboxes to delete. Defaults to 1 min.
	CollectEvery time.Duration
	// CompactBytes is the size below which the journal is not rewritten. Defaults to 16 MiB.
	CompactBytes int64

	// Observer is told what happens. Defaults to nobody.
	Observer Observer
	// Logger defaults to none.
	Logger *slog.Logger
}

// An Observer is told what happens. Its funcs may be called from any goroutine, until Run returns, and must not block. Any may be nil.
type Observer struct {
	// Registered is called when a master has welcomed the slave, the first time and after every interruption.
	Registered func(id offer.SlaveID)
	// Disconnected is called when the connection to the master is lost or given up; refusal, if not nil, says why.
	Disconnected func(refusal *offer.Refusal)
	// Started is called when a task's or an executor's first process runs.
	Started func(container string, pid int)
	// Ended is called when a container has ended or could not be started.
	Ended func(ev isolation.Event)
	// Noted is called for what an operator may want to know: event is a short fixed phrase.
	Noted func(event string, framework offer.FrameworkID, task offer.TaskID, reason offer.Reason, text string)
}

// maxReady bounds Config.ReadySupervisors.
const maxReady = 1000

// The values of Config.Listen and Config.Fetch.Cache for none.
const (
	noListener = "none"
	noCache    = "none"
)

// fetch is Config.Fetch as the fetcher takes it.
func (c Config) fetch() fetch.Config {
	f := c.Fetch
	switch {
	case f.Cache == noCache:
		f.Cache = ""
	case f.Cache == "" && filepath.IsAbs(c.WorkDir):
		f.Cache = filepath.Join(c.WorkDir, "fetched")
	}
	return f
}

// image is Config.Image as the image isolator takes it.
func (c Config) image() image.Config {
	i := c.Image
	if i.Store.Dir == "" {
		i.Store.Dir = "/images" // for a look at the other fields
		if filepath.IsAbs(c.WorkDir) {
			i.Store.Dir = filepath.Join(c.WorkDir, "images")
		}
	}
	i.AllowRoot = c.Process.AllowRoot
	return i
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("slave: config: %s %s", field, fmt.Sprintf(format, args...))
	}
	switch {
	case c.WorkDir == "":
		return bad("WorkDir", "is empty (allowed: a folder)")
	case len(c.Masters) == 0 && c.Detector == nil:
		return bad("Masters", "is empty and there is no Detector (allowed: at least one host:port)")
	case c.Runner != nil && c.Isolation != nil:
		return bad("Isolation", "is set, but so is Runner, which would not use it")
	}
	for i, m := range c.Masters {
		if _, _, err := net.SplitHostPort(m); err != nil {
			return bad(fmt.Sprintf("Masters[%d]", i), "is %q (allowed: host:port)", m)
		}
	}
	for _, a := range []struct{ field, value string }{{"Listen", c.Listen}, {"Advertise", c.Advertise}} {
		if a.value == "" || a.field == "Listen" && a.value == noListener {
			continue
		}
		if _, _, err := net.SplitHostPort(a.value); err != nil {
			return bad(a.field, "is %q (allowed: host:port)", a.value)
		}
	}
	if len(c.Hostname) > offer.MaxID {
		return bad("Hostname", "has %d bytes (allowed: at most %d)", len(c.Hostname), offer.MaxID)
	}
	if err := c.Resources.Validate(resource.Limits{}); err != nil {
		return bad("Resources", "%v", err)
	}
	for _, err := range []error{c.Disk.Validate(), c.Ports.Validate(), c.Namespace.Validate(), c.image().Validate()} {
		if err != nil {
			return fmt.Errorf("slave: config: %w", err)
		}
	}
	if err := c.Isolation.Validate(); err != nil {
		return fmt.Errorf("slave: config: %w", err)
	}
	if err := c.validateIsolators(); err != nil {
		return err
	}
	if err := c.Process.Validate(); err != nil {
		return fmt.Errorf("slave: config: Process: %w", err)
	}
	if err := c.fetch().Validate(); err != nil {
		return fmt.Errorf("slave: config: %w", err)
	}
	for _, d := range []struct {
		field string
		value time.Duration
	}{{"ExecutorRegistrationTimeout", c.ExecutorRegistrationTimeout}, {"ExecutorReregistrationTimeout", c.ExecutorReregistrationTimeout},
		{"ExecutorShutdownGrace", c.ExecutorShutdownGrace}, {"PingTimeout", c.PingTimeout}, {"StopTimeout", c.StopTimeout},
		{"SandboxAge", c.SandboxAge}, {"CollectEvery", c.CollectEvery}} {
		if d.value < 0 {
			return bad(d.field, "is %v (allowed: more than zero)", d.value)
		}
	}
	if !(c.DiskHeadroom <= 1) {
		return bad("DiskHeadroom", "is %v (allowed: at most 1)", c.DiskHeadroom)
	}
	if c.ReadySupervisors > maxReady {
		return bad("ReadySupervisors", "is %d (allowed: at most %d)", c.ReadySupervisors, maxReady)
	}
	if c.MaxTasks < 0 {
		return bad("MaxTasks", "is %d (allowed: more than zero)", c.MaxTasks)
	}
	if c.MaxProbes < 0 {
		return bad("MaxProbes", "is %d (allowed: more than zero)", c.MaxProbes)
	}
	if offer.ValidateStreams(&offer.Streams{OutputBytes: c.OutputBytes}) != nil {
		return bad("OutputBytes", "is %d (allowed: %d to %d)", c.OutputBytes, offer.MinOutputBytes, int64(offer.MaxOutputBytes))
	}
	if c.OutputFiles > offer.MaxOutputFiles {
		return bad("OutputFiles", "is %d (allowed: at most %d)", c.OutputFiles, offer.MaxOutputFiles)
	}
	if c.CompactBytes < 0 {
		return bad("CompactBytes", "is %d (allowed: more than zero)", c.CompactBytes)
	}
	return nil
}

// withDefaults fills in what needs no look at the machine.
func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:5051"
		if c.Network != nil {
			c.Listen = noListener
		}
	}
	if c.SandboxAge == 0 {
		c.SandboxAge = 7 * 24 * time.Hour
	}
	if c.DiskHeadroom == 0 {
		c.DiskHeadroom = 0.1
	}
	if c.ReadySupervisors == 0 {
		c.ReadySupervisors = 2
	}
	if c.CollectEvery == 0 {
		c.CollectEvery = time.Minute
	}
	if c.CompactBytes == 0 {
		c.CompactBytes = 16 << 20
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// fromMachine fills in what is known only where the slave runs. WorkDir exists.
func (c Config) fromMachine() (Config, error) {
	var err error
	if c.WorkDir, err = filepath.Abs(c.WorkDir); err != nil {
		return c, err
	}
	if c.Hostname == "" {
		if c.Hostname, err = os.Hostname(); err != nil {
			return c, fmt.Errorf("slave: Hostname is not set and the machine's is not known: %w", err)
		}
	}
	if c.RuntimeDir == "" {
		c.RuntimeDir = runtimeDir(c.WorkDir)
	} else if c.RuntimeDir, err = filepath.Abs(c.RuntimeDir); err != nil {
		return c, err
	}
	if c.Resources.Empty() {
		c.Resources, err = defaultResources(process.Machine(c.WorkDir))
	}
	return c, err
}

var errUsed = errors.New("slave: Run was called before (allowed: once)")
