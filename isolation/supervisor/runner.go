package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// MaxDir is the longest Config.Dir, in bytes: a socket's path must fit 104 bytes on some systems.
const MaxDir = 80

// Config is the configuration of a Runner.
type Config struct {
	// Dir is the absolute path of the folder for the runner's own files, at most MaxDir bytes; it is made when it is missing. It must
	// outlive the slave process, and need not outlive the machine's boot. Required.
	Dir string
	// Memory is the absolute path of a folder, at most MaxDir bytes, that takes the files of containers instead of Dir and is on a file system in
	// memory: making and removing them there costs a start a fraction of what it does on a disk. Containers that are told much, or find little
	// room there, have theirs in Dir, and so do those that already had. It is made when it is missing, and removed by Close if it is empty. It must
	// outlive the slave process: MemoryDir is what to set. Defaults to none.
	Memory string
	// Isolation is what containers are held by. Defaults to the process isolator alone.
	Isolation isolation.Chain
	// Ready is how many supervisors are kept ready: started ahead, they wait for a container, which saves it the time. Each takes the memory of
	// an idle process. Defaults to 0, none.
	Ready int
	// Starts bounds how many containers are being started at once. Defaults to twice the number of processors.
	Starts int
	// OutputBytes is how large stdout and stderr in the sandbox may each grow, in bytes, before they are renamed to stdout.1 and stderr.1. Tasks
	// can say otherwise. Defaults to DefaultOutputBytes.
	OutputBytes int64
	// OutputFiles is how many of the renamed files are kept of each; negative means none. Tasks can say otherwise. Defaults to DefaultOutputFiles.
	OutputFiles int
	// Logger is told what goes wrong. Defaults to none.
	Logger *slog.Logger
}

// The defaults of Config.OutputBytes, which is that of Mesos' logger, and Config.OutputFiles.
const (
	DefaultOutputBytes = 10 << 20
	DefaultOutputFiles = 1
)

// output is how much of a container's output is kept.
func (c Config) output(spec *isolation.Spec) (bytes int64, files int) {
	own := offer.Streams{}
	if spec.Streams != nil {
		own = *spec.Streams
	}
	return cmp.Or(own.OutputBytes, c.OutputBytes, DefaultOutputBytes), max(0, cmp.Or(own.OutputFiles, c.OutputFiles, DefaultOutputFiles))
}

// A Runner is an isolation.Runner that uses a supervisor process for each container.
type Runner struct {
	cfg    Config
	events func(isolation.Event)
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	slots  chan struct{}
	ready  *readyPool

	mu         sync.Mutex
	containers map[string]*container
	closed     bool
}

var _ isolation.Runner = (*Runner)(nil)

// New returns a Runner that does nothing until Open.
func New(cfg Config) *Runner {
	if cfg.Isolation == nil {
		cfg.Isolation = isolation.Chain{process.New(process.Config{})}
	}
	if cfg.Starts <= 0 {
		cfg.Starts = 2 * runtime.NumCPU()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Runner{cfg: cfg, containers: map[string]*container{}, slots: make(chan struct{}, cfg.Starts)}
	r.ready = newReadyPool(cfg.Ready, func(err error) { cfg.Logger.Warn("keep supervisors ready", "err", err) })
	return r
}

// Open implements isolation.Runner. It fails if Main was not called in this process.
func (r *Runner) Open(known []string, events func(isolation.Event)) error {
	if !Entered() {
		return errors.New("the program does not call slave.Supervise first in main, so that it cannot supervise tasks")
	}
	err := r.makeDirs()
	if err == nil {
		err = r.openMemory()
	}
	if err != nil {
		return err
	}
	r.events = events
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if err := r.recover(known); err != nil {
		return err
	}
	r.goDo(func() { r.ready.run(r.ctx) })
	return nil
}

// recover finds what an earlier run has left: known containers are shown to the isolators, the others are ended.
func (r *Runner) recover(known []string) error {
	keep := map[string]string{}
	for _, c := range known {
		keep[r.dir(c)] = c
	}
	found, err := r.listAll()
	if err != nil {
		return fmt.Errorf("runtime dir: %w", err)
	}
	var running []isolation.Recovered
	var orphans []string
	for dir, o := range found {
		id := keep[dir]
		if id == "" {
			orphans = append(orphans, dir)
			continue
		}
		spec := o.Spec
		if spec == nil { // not readable any more, but it may run
			spec = &isolation.Spec{Container: id}
		}
		var first process.ID
		_ = readRecord(dir, processRecord, &first)
		running = append(running, isolation.Recovered{Spec: spec, PID: first.PID})
	}
	if err := r.cfg.Isolation.Recover(r.ctx, running); err != nil {
		return err
	}
	for _, dir := range orphans {
		r.cfg.Logger.Warn("end a container that the slave does not know", "dir", dir)
		c := &container{r: r, dir: dir, wake: make(chan struct{}, 1), kill: sure, orphan: true}
		if s := found[dir].Spec; s != nil {
			c.id = s.Container
		}
		r.goDo(c.runOrphan)
	}
	return nil
}

func (r *Runner) goDo(f func()) { r.tryDo(f) }

// tryDo runs f on a goroutine that Close waits for; false means that it came before.
func (r *Runner) tryDo(f func()) bool {
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.wg.Add(1)
	}
	r.mu.Unlock()
	if closed {
		return false
	}
	go func() {
		defer r.wg.Done()
		f()
	}()
	return true
}

// add makes a container unless it is there already.
func (r *Runner) add(id, dir string) (*container, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers[id] != nil {
		return nil, false
	}
	c := &container{r: r, id: id, dir: dir, wake: make(chan struct{}, 1)}
	r.containers[id] = c
	return c, true
}

func (r *Runner) get(id string) *container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.containers[id]
}

// Ready returns how many supervisors are ready now.
func (r *Runner) Ready() int { return r.ready.count() }

// Start implements isolation.Runner.
func (r *Runner) Start(spec *isolation.Spec, recovered bool) {
	if c, ok := r.add(spec.Container, r.newDir(spec)); ok {
		c.until = spec.LeaseUntil
		r.goDo(func() { c.start(spec, recovered) })
	}
}

// Adopt implements isolation.Runner.
func (r *Runner) Adopt(id string) {
	if c, ok := r.add(id, r.dir(id)); ok {
		r.goDo(c.adopt)
	}
}

// Kill implements isolation.Runner.
func (r *Runner) Kill(id string, surely bool) {
	if c := r.get(id); c != nil {
		c.askKill(surely)
	}
}

// Update implements isolation.Runner.
func (r *Runner) Update(id string, resources resource.Resources, limits []offer.Limit) {
	if c := r.get(id); c != nil {
		c.resize(&allowance{resources, limits})
	}
}

// Renew implements isolation.Runner.
func (r *Runner) Renew(id string, until time.Duration) {
	if c := r.get(id); c != nil {
		c.renew(until)
	}
}

// Forget implements isolation.Runner.
func (r *Runner) Forget(id string) {
	r.mu.Lock()
	c := r.containers[id]
	delete(r.containers, id)
	r.mu.Unlock()
	if c == nil {
		c = &container{r: r, id: id, dir: r.dir(id)}
	}
	r.goDo(func() {
		if err := os.RemoveAll(c.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.cfg.Logger.Warn("remove a container's files", "container", id, "err", err)
		}
	})
}

// Close implements isolation.Runner.
func (r *Runner) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	if r.cancel != nil {
		r.cancel()
	}
	r.wg.Wait()
	r.closeMemory()
	return nil
}
