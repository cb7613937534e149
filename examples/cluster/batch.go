package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A job is one line of the job file. It is tried again when a try was lost to the cluster, never when the command itself failed.
type job struct {
	name    string
	command string

	tries    int
	done     bool
	state    offer.State
	exit     string
	host     string
	started  time.Time
	took     time.Duration
	finished int // how many tries were reported to have run to their end
	output   string
}

// batch is the scheduler: a queue of jobs, packed onto whatever is offered.
type batch struct {
	each    resource.Resources // what one job gets
	audit   string             // folder in which each try notes its own end
	changed chan struct{}      // has a token after every change

	mu       sync.Mutex
	jobs     []*job
	waiting  []*job
	running  map[offer.TaskID]*job
	leaders  map[string]bool
	killed   time.Time // when the leader was killed
	failover time.Duration
	resumed  bool // subscribed again after the kill
}

func newBatch(jobs []*job, audit string) *batch {
	return &batch{each: resource.Must("cpus:0.5;mem:32"), audit: audit, changed: make(chan struct{}, 1), jobs: jobs,
		waiting: append([]*job(nil), jobs...), running: map[offer.TaskID]*job{}, leaders: map[string]bool{}}
}

// Subscribed notes who leads.
func (b *batch) Subscribed(_ context.Context, s *framework.Session) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if leader, ok := s.Master(); ok {
		b.leaders[leader.Address] = true
	}
	b.resumed = !b.killed.IsZero()
	b.notify()
	return nil
}

// Offers packs as many waiting jobs onto each offer as fit.
func (b *batch) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resumed && b.failover == 0 {
		b.failover = time.Since(b.killed)
	}
	for _, o := range offers {
		var tasks []offer.Task
		left, fits := o.Resources, true
		for len(b.waiting) > 0 {
			if left, fits = left.Sub(b.each); !fits {
				break
			}
			j := b.waiting[0]
			b.waiting = b.waiting[1:]
			j.tries++
			j.host = o.Hostname
			task := b.task(j)
			b.running[task.ID] = j
			tasks = append(tasks, task)
		}
		answer := func() error { return s.Launch(o, tasks...) }
		if len(tasks) == 0 {
			answer = func() error { return s.Decline([]offer.OfferID{o.ID}) }
		}
		if err := answer(); err != nil {
			return err
		}
	}
	b.notify()
	return nil
}

// task makes one try of a job. The shell around the command notes the end of the try in the audit folder: it is how the example knows,
// without asking the cluster, what really ran, and how often.
func (b *batch) task(j *job) offer.Task {
	const noted = `sh -c "$1"; code=$?; echo "$2 $code" >> "$3"; exit $code`
	return offer.Task{
		ID:        offer.TaskID(fmt.Sprintf("%s.%d", j.name, j.tries)),
		Name:      j.name,
		Resources: b.each,
		Command: &offer.Command{
			Value:       "sh",
			Arguments:   []string{"sh", "-c", noted, "job", j.command, fmt.Sprint(j.tries), filepath.Join(b.audit, j.name)},
			Environment: []offer.Variable{{Name: "GOROOT", Value: os.Getenv("GOROOT")}, {Name: "PATH", Value: os.Getenv("PATH")}},
		},
	}
}

// Status keeps the books. Returning nil acknowledges.
func (b *batch) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.running[st.TaskID]
	if j == nil {
		return nil // a repeat, or the end of a try that was given up
	}
	switch {
	case st.State == offer.Running && j.started.IsZero():
		j.started = st.Time
	case st.State == offer.Finished, st.State == offer.Failed, st.State == offer.Killed, st.State == offer.Error:
		delete(b.running, st.TaskID)
		b.end(j, st)
	case st.State.Terminal(): // dropped, gone, lost: the cluster's fault, so try again
		delete(b.running, st.TaskID)
		b.waiting = append(b.waiting, j)
		if err := s.Revive(); err != nil {
			return err
		}
	}
	if len(b.waiting) == 0 {
		if err := s.Suppress(); err != nil {
			return err
		}
	}
	b.notify()
	return nil
}

func (b *batch) end(j *job, st offer.Status) {
	j.done, j.state = true, st.State
	if !j.started.IsZero() {
		j.took = st.Time.Sub(j.started)
	}
	if st.State == offer.Finished {
		j.finished++
	}
	if st.Exit != nil {
		j.exit = st.Exit.String()
	} else {
		j.exit = st.Message
	}
	if st.Container != nil {
		out, _ := os.ReadFile(filepath.Join(st.Container.Sandbox, "stdout"))
		j.output = strings.Join(strings.Fields(string(out)), " ")
	}
}

func (b *batch) notify() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// killing marks the moment of the leader's death.
func (b *batch) killing() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.killed, b.resumed, b.failover = time.Now(), false, 0
}

// progress is what the live line shows.
func (b *batch) progress() (done, running, waiting int, failover time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, j := range b.jobs {
		if j.done {
			done++
		}
	}
	return done, len(b.running), len(b.waiting), b.failover
}

// verdict is the example's last word.
type verdict struct {
	tasks, finished, failed, leaders int
	lost, duplicated                 []string
	failover                         time.Duration
}

// judge compares what the cluster reported with what the tries themselves noted.
func (b *batch) judge() verdict {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := verdict{tasks: len(b.jobs), leaders: len(b.leaders), failover: b.failover}
	for _, j := range b.jobs {
		ends := 0
		if noted, err := os.ReadFile(filepath.Join(b.audit, j.name)); err == nil {
			ends = strings.Count(string(noted), "\n")
		}
		switch {
		case !j.done, ends == 0 && j.state == offer.Finished:
			v.lost = append(v.lost, j.name)
		case j.state == offer.Finished:
			v.finished++
		default:
			v.failed++
		}
		if ends > 1 || j.finished > 1 {
			v.duplicated = append(v.duplicated, j.name)
		}
	}
	return v
}

// String is the line that scripts look for.
func (v verdict) String() string {
	word := "ok"
	if !v.ok() {
		word = "failed"
	}
	return fmt.Sprintf("%s: tasks=%d finished=%d failed=%d lost=%d duplicated=%d leaders=%d failover_ms=%d", word, v.tasks, v.finished, v.failed,
		len(v.lost), len(v.duplicated), v.leaders, v.failover.Milliseconds())
}

func (v verdict) ok() bool {
	return v.failed == 0 && len(v.lost) == 0 && len(v.duplicated) == 0 && v.finished == v.tasks
}
