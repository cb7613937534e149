package workload

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// manners are what the frameworks of MultiFrameworkAllocations do beyond launching.
type manners struct {
	hints    bool          // say at the start what a task needs
	suppress bool          // suppress offers when everything is launched
	refuse   time.Duration // for offers in which no task can be placed
	must     bool          // all tasks must be launched
}

// mixed is MultiFrameworkAllocations, as three sorts of frameworks.
func mixed() []Workload {
	size, tiny := Size{Slaves: 80, Frameworks: 554}, Size{Slaves: 8, Frameworks: 55}
	var out []Workload
	for _, v := range []struct {
		name, what string
		manners
	}{
		{"MultiFrameworkAllocations", "which say what their tasks need, suppress offers when all run, and refuse for five seconds what is of no use",
			manners{hints: true, suppress: true, refuse: offer.DefaultRefuse, must: true}},
		{"MultiFrameworkAllocations/NoHints", "which suppress offers when all run, and refuse for five seconds what is of no use",
			manners{suppress: true, refuse: offer.DefaultRefuse, must: true}},
		{"MultiFrameworkAllocations/RefuseOnly", "which never suppress offers and refuse for five seconds what is of no use",
			manners{refuse: offer.DefaultRefuse, must: true}},
		{"MultiFrameworkAllocations/Careless", "which return without a word what they do not need, as in Mesos, where that stalls", manners{}},
	} {
		out = append(out, Workload{Name: v.name, What: "19,500 tasks of long-running services, single jobs and batches, by frameworks " + v.what,
			Full: size, Tiny: tiny, run: func(d *driver, s Size) error { return d.mixed(s, v.manners) }})
	}
	return out
}

// A job is what one framework of the workload wants to run.
type job struct {
	framework *framework
	cpus, mem resource.Scalar // of a task
	perOffer  int             // the most tasks in one offer
	left      int             // tasks that do not run yet
	tasks     int
}

func (j *job) size(n int) resource.Resources {
	return resource.Resources{resource.NewScalar(resource.CPUs, j.cpus*resource.Scalar(n)),
		resource.NewScalar(resource.Mem, j.mem*resource.Scalar(n))}
}

// jobs are, for the size of the reference, 4 frameworks with 4000 small tasks each, 500 in one role with 5 tasks, one to an offer, and 50 in a
// role each with 20 tasks. Other sizes have the same proportions.
func (d *driver) jobs(s Size) []*job {
	services, batches := max(1, s.Frameworks*4/554), max(1, s.Frameworks*50/554)
	var out []*job
	d.addFrameworks(s.Frameworks, func(i int, f *offer.Framework) {
		j := &job{cpus: 100, mem: resource.Units(4000), perOffer: 1, tasks: 5}
		f.Roles = []string{"roleB"}
		switch {
		case i < services:
			f.Roles = []string{fmt.Sprintf("roleA-%d", i+1)}
			*j = job{cpus: 70, mem: resource.Units(400), perOffer: 100, tasks: max(1, 4000*s.Slaves/80)}
		case i >= s.Frameworks-batches:
			f.Roles = []string{fmt.Sprintf("roleC-%d", i-(s.Frameworks-batches)+1)}
			*j = job{cpus: 1000, mem: resource.Units(1000), perOffer: 5, tasks: 20}
		}
		j.left = j.tasks
		out = append(out, j)
	})
	for i, j := range out {
		j.framework = d.book.frameworks[i]
		d.result.Tasks += j.tasks
	}
	return out
}

// patience is after how many cycles without a launch the rest counts as stalled.
const patience = 100

func (d *driver) mixed(s Size, m manners) error {
	jobs := d.jobs(s)
	byID := map[offer.FrameworkID]*job{}
	var hints []allocator.Event
	for _, j := range jobs {
		byID[j.framework.id] = j
		if m.hints {
			need := j.size(1).Quantities()
			hints = append(hints, allocator.Requested{Framework: j.framework.id, Role: j.framework.role, Needs: []resource.Quantities{need}})
			j.framework.needs = []amounts{amountsIn(need)}
		}
	}
	if m.hints {
		d.send("say what is needed", hints)
	}
	d.send("add slaves", d.slavesOf(s.Slaves, parsed("cpus:64;mem:488000"), nil))
	for idle := 0; d.result.Launched < d.result.Tasks && idle < patience; {
		if err := d.settle("cycle"); err != nil {
			return err
		}
		d.result.Cycles++
		before := d.result.Launched
		var events []allocator.Event
		for _, al := range d.out {
			events = d.answer(events, byID[al.Framework], al, m)
		}
		d.send("answers", events)
		if idle++; d.result.Launched > before {
			idle = 0
		}
		if len(d.out) == 0 {
			due := d.a.Deadline()
			if due.IsZero() {
				break
			}
			d.now = due // until a filter ends
		}
	}
	if m.must && d.result.Launched < d.result.Tasks {
		return fmt.Errorf("%d of %d tasks were launched", d.result.Launched, d.result.Tasks)
	}
	return d.launched(jobs)
}

// answer is what a framework does with an offer.
func (d *driver) answer(events []allocator.Event, j *job, al allocator.Allotment, m manners) []allocator.Event {
	n := min(j.left, j.perOffer, int(al.Resources.CPUs()/j.cpus), int(al.Resources.Mem()/j.mem))
	refuse := time.Duration(0)
	if n == 0 {
		refuse = m.refuse
		if j.left == 0 {
			d.result.Needless++
		} else {
			d.result.Unusable++
		}
	} else {
		j.left -= n
		d.result.Launched += n
		rest, ok := al.Resources.Sub(j.size(n))
		if !ok {
			panic("a task does not fit where it fits")
		}
		al.Resources = rest
	}
	if len(al.Resources) > 0 {
		d.book.recover(d.now, al, refuse)
		events = append(events, allocator.Recovered{Allotment: al, Refuse: refuse})
	}
	if j.left == 0 && m.suppress && !j.framework.suppressed {
		j.framework.suppressed = true
		events = append(events, allocator.Suppressed{Framework: j.framework.id})
	}
	return events
}

// launched checks that everybody holds what its tasks need, and that nothing else is in use.
func (d *driver) launched(jobs []*job) error {
	var sum amounts
	for _, j := range jobs {
		want := amountsOf(j.size(1))
		for k := range want {
			want[k] *= int64(j.tasks - j.left)
		}
		if j.framework.held != want {
			return fmt.Errorf("framework %s holds %v, its tasks need %v", j.framework.id, j.framework.held, want)
		}
		sum.add(want, 1)
	}
	for _, s := range d.book.slaves {
		sum.add(amountsOf(s.free), 1)
	}
	if sum != d.book.total {
		return fmt.Errorf("tasks and what is free come to %v, the cluster is %v", sum, d.book.total)
	}
	return nil
}
