package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

type runFlags struct {
	master    masterFlags
	log       logFlags
	cpus      string
	mem       string
	disk      string
	name      string
	role      string
	env       []string
	uris      []string
	image     string
	volumes   []string
	network   string
	hostname  string
	asUser    string
	constrain []string
	failover  time.Duration
	output    int64
	check     checkFlags
	health    healthFlags
	lease     time.Duration
	stdin     bool
	terminal  bool
}

func newRun() *cobra.Command {
	f := &runFlags{}
	cmd := &cobra.Command{
		Use:   "run [flags] -- [COMMAND [ARGUMENT...]]",
		Short: "Run one command on the cluster, with its output here and its exit status as mine",
		Example: `  meros run --master 127.0.0.1:5050 --cpus 1 --mem 64 -- sh -c 'echo hi; exit 3'
  meros run --cpus 0.1 --mem 32 -- hostname
  meros run --uri https://example.org/app.tar.gz,extract,cache -- ./app/run
  meros run --cpus 1 --mem 64 --health-http 8080/health -- ./server
  meros run --image registry.example.org/team/app:v1 -- app --serve`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && f.image == "" {
				return usagef("run: no command: write it after --, as in: meros run --cpus 1 --mem 64 -- echo hi")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	f.master.add(cmd)
	f.log.add(cmd)
	f.log.level = "error"
	flags.Lookup("log-level").DefValue = "error"
	flags.StringVar(&f.cpus, "cpus", "1", "`number` of processors, in thousandths at the finest")
	flags.StringVar(&f.mem, "mem", "128", "memory in `MB`")
	flags.StringVar(&f.disk, "disk", "0", "disk in `MB`; none by default")
	flags.StringVar(&f.name, "name", "", "name that operators see; the command's by default")
	flags.StringVar(&f.role, "role", resource.AnyRole, "role in which resources are offered")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "variable for the command, as `NAME=VALUE`; may be repeated; none by default")
	flags.StringArrayVar(&f.uris, "uri", nil, "`URL[,extract|,executable][,cache][,as=NAME]` to fetch into the command's folder first: http, https or file;\nmay be repeated; none by default")
	flags.StringArrayVar(&f.volumes, "volume", nil, "`KIND:WHAT=PATH[,ro]` that the command sees at PATH: host:/FOLDER of the slave's machine, as the slave allows, sandbox:FOLDER,\nor secret:FILE of this one, which only the command can read; PATH is absolute or in its sandbox; may be repeated; none by default")
	flags.StringVar(&f.network, "network", "host", "`NETWORK` of the command: host, or none but a loopback")
	flags.StringVar(&f.hostname, "hostname", "", "host `NAME` that the command has, of labels with dots between them; the machine's by default")
	flags.StringVar(&f.image, "image", "", "`IMAGE` that is the command's root folder: HOST/NAME[:TAG][@sha256:DIGEST] of a registry, layout:/FOLDER[:TAG] or archive:/FILE[:TAG]\nof the slave's disk, as the slave allows; without a COMMAND the image's is run; none by default")
	flags.StringVar(&f.asUser, "user", "", "operating system user for the command; the slave's by default")
	flags.StringArrayVar(&f.constrain, "on", nil, "only slaves with this attribute or hostname, as `NAME=VALUE` or hostname=VALUE; may be repeated; any by default")
	flags.DurationVar(&f.failover, "failover-timeout", time.Minute, "how long the command may go on if this program dies")
	flags.BoolVarP(&f.stdin, "stdin", "i", false, "the command reads what is typed here")
	flags.BoolVarP(&f.terminal, "terminal", "t", false, "give the command a terminal, which is mine; needs one")
	flags.Int64Var(&f.output, "keep-output", 110, "`MB` of output that the slave keeps, of stdout and of stderr each, while it is not read here yet; 10 to 1010")
	f.check.add(cmd)
	f.health.add(cmd)
	flags.DurationVar(&f.lease, "lease", 0, "end the command where it runs once its slave was out of touch with the masters for this long, 1s to 12h, so that another may take its place;\nnone by default")
	flags.SetInterspersed(false)
	return cmd
}

func (f *runFlags) task(args []string) (offer.Task, error) {
	amounts := make([]resource.Resource, 0, 3)
	for _, a := range []struct{ name, text string }{{resource.CPUs, f.cpus}, {resource.Mem, f.mem}, {resource.Disk, f.disk}} {
		n, err := resource.ParseScalar(a.text)
		if err != nil {
			return offer.Task{}, badFlag(a.name, a.text, "must be a number of at most three decimals, as in 0.5")
		}
		if n == 0 && a.name != resource.Disk {
			return offer.Task{}, badFlag(a.name, a.text, "must be above zero")
		}
		amounts = append(amounts, resource.NewScalar(a.name, n))
	}
	wanted, err := resource.New(amounts...)
	if err != nil {
		return offer.Task{}, usagef("%v", err)
	}
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return offer.Task{}, err
	}
	task := offer.Task{
		ID:        offer.TaskID("run-" + hex.EncodeToString(id[:])),
		Name:      f.name,
		Resources: wanted,
		Command:   &offer.Command{Arguments: args, User: f.asUser},
	}
	if len(args) > 0 {
		task.Command.Value = args[0]
	}
	if f.image != "" {
		task.Image = &offer.Image{Reference: f.image}
		if err := offer.ValidateImage(task.Image); err != nil {
			return offer.Task{}, badFlag("image", f.image, strings.TrimPrefix(err.Error(), "image.reference"))
		}
	}
	if task.Name == "" {
		task.Name = cmp.Or(task.Command.Value, f.image)
	}
	if f.output < 10 || f.output > 1010 {
		return offer.Task{}, badFlag("keep-output", strconv.FormatInt(f.output, 10), "must be from 10 to 1010")
	}
	task.Streams = &offer.Streams{OutputBytes: 10 << 20, OutputFiles: cmp.Or(int((f.output+9)/10)-1, -1)}
	for _, e := range f.env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return offer.Task{}, badFlag("env", e, "must be NAME=VALUE")
		}
		task.Command.Environment = append(task.Command.Environment, offer.Variable{Name: name, Value: value})
	}
	for _, text := range f.uris {
		u := parseURI(text)
		if err := offer.ValidateURIs([]offer.URI{u}); err != nil {
			return offer.Task{}, badFlag("uri", text, strings.TrimPrefix(err.Error(), "uris[0]."))
		}
		task.Command.URIs = append(task.Command.URIs, u)
	}
	if err := f.room(&task); err != nil {
		return offer.Task{}, err
	}
	if task.Check, err = f.check.check(); err != nil {
		return offer.Task{}, err
	}
	if task.Health, err = f.health.check(); err != nil {
		return offer.Task{}, err
	}
	task.Lease = f.lease
	if err := offer.ValidateLease(f.lease); err != nil {
		return offer.Task{}, badFlag("lease", f.lease.String(), fmt.Sprintf("must be from %v to %v, or 0 for none", offer.MinLease, offer.MaxLease))
	}
	return task, nil
}

// parseURI reads options from the end, because a URI may have commas of its own.
func parseURI(text string) offer.URI {
	u := offer.URI{Value: text}
	for {
		i := strings.LastIndexByte(u.Value, ',')
		if i < 0 {
			return u
		}
		option := u.Value[i+1:]
		name, named := strings.CutPrefix(option, "as=")
		switch {
		case option == "extract":
			u.Extract = true
		case option == "executable":
			u.Executable = true
		case option == "cache":
			u.Cache = true
		case named:
			u.OutputFile = name
		default:
			return u
		}
		u.Value = u.Value[:i]
	}
}

func (f *runFlags) run(cmd *cobra.Command, args []string) error {
	task, err := f.task(args)
	if err != nil {
		return err
	}
	if err := resource.ValidateRole(f.role); err != nil {
		return badFlag("role", f.role, err.Error())
	}
	for _, c := range f.constrain {
		if name, _, ok := strings.Cut(c, "="); !ok || name == "" {
			return badFlag("on", c, "must be NAME=VALUE")
		}
	}
	log, err := f.log.logger()
	if err != nil {
		return err
	}
	cfg := framework.Config{Name: "run " + task.Name, Roles: []string{f.role}, FailoverTimeout: f.failover, Logger: log}
	if len(cfg.Name) > offer.MaxID {
		cfg.Name = cfg.Name[:offer.MaxID]
	}
	if u, err := user.Current(); err == nil {
		cfg.Labels = []resource.Label{{Key: "user", Value: u.Username}}
	}
	if err := f.master.framework(&cfg); err != nil {
		return err
	}
	if c, ok := cfg.Detector.(io.Closer); ok {
		defer c.Close()
	}
	client, err := f.master.http()
	if err != nil {
		return err
	}
	one := &oneTask{task: task, constrain: f.constrain, notices: cmd.ErrOrStderr(), ended: make(chan struct{}), trouble: f.master.trouble}
	one.output = newFollower(client, f.master.scheme(), cmd.OutOrStdout(), cmd.ErrOrStderr())
	if f.stdin || f.terminal {
		t := newTalk(cmd)
		t.interrupted = nil // an interrupt kills the task
		if f.terminal {
			if !t.own.there() {
				return badFlag("terminal", "true", "must be false without a terminal here")
			}
			size := t.own.size()
			t.raw, one.task.Streams.Terminal = true, &size
			if name := os.Getenv("TERM"); name != "" {
				one.task.Command.Environment = append(one.task.Command.Environment, offer.Variable{Name: "TERM", Value: name})
			}
		}
		one.task.Streams.Stdin = f.stdin
		one.output = newAttachment(&f.master, t)
	}
	return one.follow(cmd.Context(), cfg)
}

// oneTask is the scheduler of `meros run`.
type oneTask struct {
	task      offer.Task
	constrain []string
	notices   io.Writer
	output    taskOutput
	ended     chan struct{} // closed when the task has a final state
	trouble   func(context.Context) (err error, lasting bool)

	mu       sync.Mutex
	joined   bool // the session is subscribed
	launched bool
	slave    string // address
	last     offer.Status
	checked  offer.CheckResult // what the check was last said to have come to
	over     bool
}

// Subscribed implements framework.Scheduler.
func (o *oneTask) Subscribed(context.Context, *framework.Session) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.joined = true
	return nil
}

// Offers takes the first offer that fits.
func (o *oneTask) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, of := range offers {
		if o.launched || !of.Resources.Unreserved().Contains(o.task.Resources) || !meets(of, o.constrain) {
			if err := s.Decline([]offer.OfferID{of.ID}); err != nil {
				return err
			}
			continue
		}
		o.launched, o.slave = true, of.Address
		if err := s.Launch(of, o.task); err != nil {
			return err
		}
		if err := s.Suppress(); err != nil {
			return err
		}
	}
	return nil
}

func meets(of offer.Offer, constraints []string) bool {
	for _, c := range constraints {
		name, value, _ := strings.Cut(c, "=")
		ok := name == "hostname" && of.Hostname == value
		for _, a := range of.Attributes {
			ok = ok || a.Name == name && (a.Text == value || a.Scalar != nil && a.Scalar.String() == value)
		}
		if !ok {
			return false
		}
	}
	return true
}

// Status follows the task. One that was never started is launched again, on another offer.
func (o *oneTask) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if st.TaskID != o.task.ID || o.over {
		return nil
	}
	o.last = st
	switch {
	case st.State == offer.Running:
		o.output.start(o.slave, s.ID(), o.task.ID)
		if st.Reason == offer.ReasonTaskHealthCheckStatusUpdated && st.Healthy != nil && !*st.Healthy {
			fmt.Fprintf(o.notices, "meros: the command is unhealthy: %s\n", oneLine(errors.New(st.Message)))
		}
		if st.Check != nil {
			if *st.Check != o.checked && (st.Check.Known || o.checked.Known) {
				fmt.Fprintf(o.notices, "meros: the check of the command: %s\n", st.Check)
			}
			o.checked = *st.Check
		}
	case st.State == offer.Dropped:
		fmt.Fprintf(o.notices, "meros: not started (%s): waiting for another offer\n", st.Reason)
		o.launched = false
		return s.Revive()
	case st.State == offer.Unreachable:
		fmt.Fprintf(o.notices, "meros: the slave does not answer since %s; the command may still run\n", st.UnreachableTime.Format(time.TimeOnly))
	case st.State.Terminal():
		o.over = true
		close(o.ended)
	}
	return nil
}

// Disconnected implements framework.Disconnecter.
func (o *oneTask) Disconnected(context.Context, *framework.Session) {
	o.mu.Lock()
	o.joined = false
	o.mu.Unlock()
	fmt.Fprintln(o.notices, "meros: the master is lost, looking for the next one; the command goes on")
}

// follow runs the session until the task has ended and all of its output is here.
func (o *oneTask) follow(ctx context.Context, cfg framework.Config) error {
	session, err := framework.New(cfg, o)
	if err != nil {
		return &usageError{err}
	}
	signal.Ignore(syscall.SIGPIPE) // whoever reads the output may go: that comes as an error, and the command must not stay behind
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- session.Run(running) }()
	lasting := make(chan error, 1)
	go func() {
		if err, never := o.trouble(running); never {
			lasting <- err
		}
	}()
	notice := time.NewTimer(firstNotice)
	defer notice.Stop()
	asked, broken := ctx.Done(), o.output.unwanted()
	var ours error // the outcome if it is this program that ends the command
	for {
		select {
		case err := <-lasting:
			return err
		case err := <-result:
			return cmpError(err, errors.New("the session ended before the command did"))
		case <-notice.C:
			if what := o.waitsFor(running); what != "" {
				fmt.Fprintln(o.notices, "meros:", what)
			}
			notice.Reset(nextNotice)
		case <-asked: // a first interrupt kills the task and waits for its end; main makes a second one end the program
			asked, ours = nil, interrupted(ctx)
			o.mu.Lock()
			launched, joined := o.launched, o.joined
			o.mu.Unlock()
			switch {
			case !launched && !joined: // nobody knows of this run
				return ours
			case !launched:
				return o.leave(session, result, ours)
			}
			fmt.Fprintln(o.notices, "meros: killing the command; once more to leave it alone")
			if err := session.Kill(o.task.ID, ""); err != nil {
				return err
			}
		case <-broken: // as a local command would be ended
			broken, ours = nil, exitCode(128+int(syscall.SIGPIPE))
			if err := session.Kill(o.task.ID, ""); err != nil {
				return err
			}
		case <-o.ended:
			o.output.finish()
			outcome := o.outcome()
			if ours != nil && outcome != nil {
				outcome = ours
			}
			return o.leave(session, result, outcome)
		}
	}
}

// When those who wait are told what for.
const (
	firstNotice = 3 * time.Second
	nextNotice  = 30 * time.Second
)

// waitsFor says what is waited for before the task runs; nothing once it was launched and a master is there.
func (o *oneTask) waitsFor(ctx context.Context) string {
	o.mu.Lock()
	joined, launched := o.joined, o.launched
	o.mu.Unlock()
	switch {
	case joined && launched:
		return ""
	case joined:
		return fmt.Sprintf("waiting for an offer with %s%s", o.task.Resources, o.where())
	}
	if err, _ := o.trouble(ctx); err != nil {
		return fmt.Sprintf("waiting for a master: %s", oneLine(err))
	}
	return "waiting for the masters to elect their leader"
}

func (o *oneTask) where() string {
	if len(o.constrain) == 0 {
		return ""
	}
	return " on " + strings.Join(o.constrain, ", ")
}

// interrupted is the outcome of a command that was ended by a signal to this program.
func interrupted(ctx context.Context) error {
	if i := (*interruption)(nil); errors.As(context.Cause(ctx), &i) {
		return i.exit()
	}
	return ctx.Err()
}

// leave tears the framework down, so that nothing of it is left on the cluster.
func (o *oneTask) leave(session *framework.Session, result <-chan error, outcome error) error {
	if err := session.Teardown(); err != nil {
		return cmpError(outcome, err)
	}
	select {
	case <-result:
	case <-time.After(5 * time.Second): // no master to say it to: the failover timeout cleans up
	}
	return outcome
}

// outcome turns the final status into an exit status.
func (o *oneTask) outcome() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	st := o.last
	switch {
	case st.State == offer.Finished:
		return nil
	case st.Exit == nil || st.Exit.Success():
		return fmt.Errorf("%s: %s (%s)", st.State, st.Message, st.Reason)
	}
	switch { // why the slave has ended it, which its exit status does not tell
	case st.State == offer.Gone:
		fmt.Fprintf(o.notices, "meros: %s: %s (%s)\n", st.State, oneLine(errors.New(st.Message)), st.Reason)
	case st.Reason == offer.ReasonContainerLimitation, st.Reason == offer.ReasonContainerLimitationMemory,
		st.Reason == offer.ReasonContainerLimitationDisk, st.Reason == offer.ReasonTaskHealthCheckStatusUpdated:
		fmt.Fprintf(o.notices, "meros: %s (%s)\n", oneLine(errors.New(st.Message)), st.Reason)
	}
	return statusOf(*st.Exit)
}

func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
