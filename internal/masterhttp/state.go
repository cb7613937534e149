package masterhttp

import (
	"iter"
	"math"
	"net/http"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

type slaveJSON struct {
	ID           offer.SlaveID      `json:"id"`
	Hostname     string             `json:"hostname"`
	PID          string             `json:"pid"` // Mesos' word for the address
	Active       bool               `json:"active"`
	Deactivated  bool               `json:"deactivated"`
	State        string             `json:"state"`
	Since        *time.Time         `json:"since,omitempty"`
	Draining     bool               `json:"draining"`
	Drained      bool               `json:"drained"`
	Version      string             `json:"version,omitempty"`
	Tasks        int                `json:"tasks"`
	Resources    map[string]any     `json:"resources"`
	Used         map[string]any     `json:"used_resources"`
	Offered      map[string]any     `json:"offered_resources"`
	Full         resource.Resources `json:"resources_full,omitempty"`
	Attributes   map[string]any     `json:"attributes"`
	RegionOfHost string             `json:"region,omitempty"`
	Zone         string             `json:"zone,omitempty"`
}

// amounts writes resources as Mesos' state endpoint does: scalars as numbers, the rest as text; cpus, mem, disk and gpus always.
func amounts(rs resource.Resources) map[string]any {
	out := map[string]any{"cpus": resource.Scalar(0), "mem": resource.Scalar(0), "disk": resource.Scalar(0), "gpus": resource.Scalar(0)}
	for _, name := range rs.Names() {
		if r := rs.RangesOf(name); len(r) > 0 {
			out[name] = r.String()
		} else if s := rs.SetOf(name); len(s) > 0 {
			out[name] = s.String()
		} else {
			out[name] = rs.Scalar(name)
		}
	}
	return out
}

func slaveOf(s mastercore.Slave, full bool) slaveJSON {
	out := slaveJSON{ID: s.ID, Hostname: s.Hostname, PID: s.Address, Active: s.State == mastercore.SlaveConnected, Deactivated: !s.Active,
		State: string(s.State), Draining: s.Drain != nil, Drained: s.Drained, Version: s.Version, Tasks: s.Tasks,
		Resources: amounts(s.Resources), Used: amounts(s.Used), Offered: amounts(s.Offered), Attributes: map[string]any{},
		RegionOfHost: s.Domain.Region, Zone: s.Domain.Zone}
	if !s.Since.IsZero() {
		out.Since = &s.Since
	}
	if full {
		out.Full = s.Slave.Resources
	}
	for _, a := range s.Attributes {
		switch {
		case a.Scalar != nil:
			out.Attributes[a.Name] = *a.Scalar
		case len(a.Ranges) > 0:
			out.Attributes[a.Name] = a.Ranges.String()
		default:
			out.Attributes[a.Name] = a.Text
		}
	}
	return out
}

func (h *handler) slaves(w http.ResponseWriter, _ *http.Request, v *mastercore.View) {
	list := []slaveJSON{}
	for s := range v.Slaves() {
		list = append(list, slaveOf(s, true))
	}
	reply(w, map[string]any{"slaves": list})
}

type frameworkJSON struct {
	ID              offer.FrameworkID `json:"id"`
	Name            string            `json:"name"`
	User            string            `json:"user,omitempty"`
	Roles           []string          `json:"roles"`
	Principal       string            `json:"principal,omitempty"`
	Hostname        string            `json:"hostname,omitempty"`
	WebURL          string            `json:"webui_url,omitempty"`
	Active          bool              `json:"active"`
	Connected       bool              `json:"connected"`
	Completed       bool              `json:"completed"`
	FailoverTimeout float64           `json:"failover_timeout"`   // seconds
	Remaining       float64           `json:"failover_remaining"` // seconds, while it is not connected
	Tasks           int               `json:"tasks"`
	CompletedTasks  int               `json:"completed_tasks"`
	Suppressed      []string          `json:"suppressed_roles,omitempty"`
}

func frameworkOf(f mastercore.Framework) frameworkJSON {
	return frameworkJSON{ID: f.ID, Name: f.Name, User: f.User, Roles: f.Roles, Principal: f.Principal, Hostname: f.Hostname, WebURL: f.WebURL,
		Active: f.Connected && !f.Completed, Connected: f.Connected, Completed: f.Completed, FailoverTimeout: f.FailoverTimeout.Seconds(),
		Remaining: f.Remaining.Seconds(), Tasks: f.Tasks, CompletedTasks: f.Ended, Suppressed: f.Suppressed}
}

func (h *handler) frameworks(w http.ResponseWriter, _ *http.Request, v *mastercore.View) {
	live, completed := []frameworkJSON{}, []frameworkJSON{}
	for f := range v.Frameworks() {
		if f.Completed {
			completed = append(completed, frameworkOf(f))
		} else {
			live = append(live, frameworkOf(f))
		}
	}
	reply(w, map[string]any{"frameworks": live, "completed_frameworks": completed})
}

type taskJSON struct {
	ID        offer.TaskID      `json:"id"`
	Name      string            `json:"name"`
	Framework offer.FrameworkID `json:"framework_id"`
	Executor  offer.ExecutorID  `json:"executor_id"`
	Slave     offer.SlaveID     `json:"slave_id"`
	State     offer.State       `json:"state"`
	Role      string            `json:"role"`
	Resources map[string]any    `json:"resources"`
	Labels    []resource.Label  `json:"labels,omitempty"`
	Healthy   *bool             `json:"healthy,omitempty"` // what its health check says, if it has one that has said anything
	Reason    offer.Reason      `json:"reason,omitempty"`
	Message   string            `json:"message,omitempty"`
}

func (h *handler) tasks(w http.ResponseWriter, r *http.Request, v *mastercore.View) {
	limit, err := number(r, "limit", defaultLimit, maxLimit)
	offset := 0
	if err == nil {
		offset, err = number(r, "offset", 0, math.MaxInt32)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	framework, slave := offer.FrameworkID(r.URL.Query().Get("framework")), offer.SlaveID(r.URL.Query().Get("slave"))
	var all iter.Seq[mastercore.Task]
	switch {
	case framework != "":
		all = v.TasksOf(framework)
	case slave != "":
		all = v.TasksOn(slave)
	default:
		all = v.Tasks()
	}
	list := []taskJSON{}
	if limit > 0 {
		for t := range all {
			if slave != "" && t.Slave != slave {
				continue
			}
			if offset > 0 {
				offset--
				continue
			}
			list = append(list, taskJSON{ID: t.ID, Name: t.Name, Framework: t.Framework, Executor: t.Executor, Slave: t.Slave, State: t.State,
				Role: t.Role, Resources: amounts(t.Resources), Labels: t.Labels, Healthy: t.Status.Healthy, Reason: t.Status.Reason, Message: t.Status.Message})
			if len(list) == limit {
				break
			}
		}
	}
	reply(w, map[string]any{"tasks": list})
}

type roleJSON struct {
	Name      string                     `json:"name"`
	Weight    resource.Scalar            `json:"weight"` // a number with decimals, as in Mesos
	Guarantee map[string]resource.Scalar `json:"guarantee,omitempty"`
	Limit     map[string]resource.Scalar `json:"limit,omitempty"`
}

func (h *handler) roles(w http.ResponseWriter, _ *http.Request, v *mastercore.View) {
	quantities := func(q resource.Quantities) map[string]resource.Scalar {
		out := map[string]resource.Scalar{}
		for _, x := range q {
			out[x.Name] = x.Amount
		}
		return out
	}
	list := []roleJSON{}
	for r := range v.Roles() {
		weight := r.Weight
		if weight == 0 {
			weight = 1000
		}
		list = append(list, roleJSON{Name: r.Role, Weight: weight, Guarantee: quantities(r.Guarantee), Limit: quantities(r.Limit)})
	}
	reply(w, map[string]any{"roles": list})
}

func (h *handler) summary(w http.ResponseWriter, _ *http.Request, v *mastercore.View) {
	sum := v.Summary()
	slaves, frameworks := []slaveJSON{}, []frameworkJSON{}
	active := 0
	for s := range v.Slaves() {
		if s.State == mastercore.SlaveConnected {
			active++
		}
		slaves = append(slaves, slaveOf(s, false))
	}
	for f := range v.Frameworks() {
		if !f.Completed {
			frameworks = append(frameworks, frameworkOf(f))
		}
	}
	reply(w, map[string]any{
		"cluster": sum.Cluster, "hostname": sum.Master, "reign": sum.Reign, "time": sum.At.UTC(),
		"activated_slaves": active, "admitted_slaves": sum.Admitted, "recovering_slaves": sum.Recovering, "silent_slaves": sum.Silent,
		"offers": sum.Offers, "quota_held": sum.QuotaHeld, "brake": sum.Brake,
		"slaves": slaves, "frameworks": frameworks,
	})
}
