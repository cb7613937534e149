package wire

import (
	"bytes"
	"io"
	"maps"
	"slices"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// The vocabulary of packages offer and offer/resource: for each struct its fields, in an order that only ever grows at the end.

func (c *codec) quantity(v *resource.Quantity) {
	o := c.open(2)
	text(c, &v.Name)
	signed(c, &v.Amount)
	c.shut(o)
}

func (c *codec) quantities(v *resource.Quantities) { list(c, v, (*codec).quantity) }

func (c *codec) label(v *resource.Label) {
	o := c.open(2)
	text(c, &v.Key)
	text(c, &v.Value)
	c.shut(o)
}

func (c *codec) labels(v *[]resource.Label) { list(c, v, (*codec).label) }

func (c *codec) reservation(v *resource.Reservation) {
	o := c.open(4)
	number(c, &v.Type)
	text(c, &v.Role)
	text(c, &v.Principal)
	c.labels(&v.Labels)
	c.shut(o)
}

func (c *codec) volume(v *resource.Volume) {
	o := c.open(4)
	text(c, &v.ID)
	text(c, &v.ContainerPath)
	text(c, &v.Principal)
	c.flag(&v.ReadOnly)
	c.shut(o)
}

func (c *codec) span(v *resource.Range) {
	o := c.open(2)
	number(c, &v.Begin)
	number(c, &v.End)
	c.shut(o)
}

func (c *codec) ranges(v *resource.Ranges) { list(c, v, (*codec).span) }

// resource leaves out of the array what most entries do not have: everything after the value.
func (c *codec) resource(v *resource.Resource) {
	fields := 10
	if c.enc && len(v.Ranges) == 0 && len(v.Set) == 0 && len(v.Reservations) == 0 && v.Volume == nil && !v.Revocable && !v.Shared &&
		v.SharedCount == 0 {
		fields = 3
	}
	o := c.open(fields)
	text(c, &v.Name)
	number(c, &v.Type)
	signed(c, &v.Scalar)
	if fields > 3 && (c.enc || c.left > 0) {
		c.ranges(&v.Ranges)
		list(c, &v.Set, text)
		list(c, &v.Reservations, (*codec).reservation)
		optional(c, &v.Volume, (*codec).volume)
		c.flag(&v.Revocable)
		c.flag(&v.Shared)
		signed(c, &v.SharedCount)
	}
	c.shut(o)
}

// resources reads what is spelled like the last ones, as the tasks of a batch often are, as the same value: resources do not change.
func (c *codec) resources(v *resource.Resources) {
	switch {
	case c.enc && len(*v) > 0:
		if from := len(c.out.b); !c.wroteResources.again(c, &(*v)[0], len(*v)) {
			list(c, v, (*codec).resource)
			c.wroteResources.keep(c, &(*v)[0], len(*v), from)
		}
		return
	case c.enc || c.left <= 0:
		list(c, v, (*codec).resource)
		return
	}
	at := c.at()
	if n := len(c.alikeFrom); n > 1 && bytes.HasPrefix(c.b[at:], c.alikeFrom) {
		c.left--
		_, err := c.in.Seek(int64(n), io.SeekCurrent)
		c.did(err)
		*v = c.alike
		return
	}
	list(c, v, (*codec).resource)
	if c.err == nil {
		c.alike, c.alikeFrom = *v, c.b[at:c.at()]
	}
}

func (c *codec) limit(v *offer.Limit) {
	o := c.open(2)
	text(c, &v.Name)
	signed(c, &v.Amount)
	c.shut(o)
}

func (c *codec) variable(v *offer.Variable) {
	o := c.open(2)
	text(c, &v.Name)
	text(c, &v.Value)
	c.shut(o)
}

// command leaves out of the array what many do not have: everything after the value. A short one has all its fields, because what is read
// may not need much more memory than it has bytes.
func (c *codec) command(v *offer.Command) {
	fields := 6
	if c.enc && len(v.Value) > 2 && !v.Shell && len(v.Arguments) == 0 && len(v.Environment) == 0 && v.User == "" && len(v.URIs) == 0 {
		fields = 1
	}
	o := c.open(fields)
	text(c, &v.Value)
	if fields > 1 && (c.enc || c.left > 0) {
		c.flag(&v.Shell)
		list(c, &v.Arguments, text)
		list(c, &v.Environment, (*codec).variable)
		text(c, &v.User)
		list(c, &v.URIs, (*codec).uri)
	}
	c.shut(o)
}

func (c *codec) uri(v *offer.URI) {
	o := c.open(5)
	text(c, &v.Value)
	c.flag(&v.Extract)
	c.flag(&v.Executable)
	c.flag(&v.Cache)
	text(c, &v.OutputFile)
	c.shut(o)
}

func (c *codec) image(v *offer.Image) {
	o := c.open(1)
	text(c, &v.Reference)
	c.shut(o)
}

func (c *codec) executor(v *offer.Executor) {
	o := c.open(13)
	text(c, &v.ID)
	text(c, &v.Name)
	optional(c, &v.Command, (*codec).command)
	c.resources(&v.Resources)
	signed(c, &v.ShutdownGrace)
	c.blob(&v.Data)
	c.labels(&v.Labels)
	c.flag(&v.Default)
	optional(c, &v.Image, (*codec).image)
	number(c, &v.Network)
	list(c, &v.Volumes, (*codec).mount)
	c.flag(&v.EndWithLateTask)
	text(c, &v.Hostname)
	c.shut(o)
}

// mount is a volume that is no resource.
func (c *codec) mount(v *offer.Volume) {
	o := c.open(5)
	text(c, &v.ContainerPath)
	c.flag(&v.ReadOnly)
	text(c, &v.HostPath)
	text(c, &v.SandboxPath)
	c.blob((*[]byte)(&v.Secret))
	c.shut(o)
}

func (c *codec) killPolicy(v *offer.KillPolicy) {
	o := c.open(1)
	signed(c, &v.Grace)
	c.shut(o)
}

func (c *codec) check(v *offer.Check) {
	o := c.open(8)
	number(c, &v.Kind)
	optional(c, &v.Command, (*codec).command)
	number(c, &v.Port)
	text(c, &v.Path)
	text(c, &v.Scheme)
	signed(c, &v.Delay)
	signed(c, &v.Interval)
	signed(c, &v.Timeout)
	c.shut(o)
}

func (c *codec) healthCheck(v *offer.HealthCheck) {
	o := c.open(3)
	c.check(&v.Check)
	signed(c, &v.Grace)
	signed(c, &v.Failures)
	c.shut(o)
}

func (c *codec) checkResult(v *offer.CheckResult) {
	o := c.open(5)
	number(c, &v.Kind)
	c.flag(&v.Known)
	signed(c, &v.ExitCode)
	signed(c, &v.Status)
	c.flag(&v.Succeeded)
	c.shut(o)
}

// task leaves out of the array what many do not have: everything after the command. One with a short id has all its fields, as a short
// command has.
func (c *codec) task(v *offer.Task) {
	const plain = 6
	fields := 21
	if c.enc && len(v.ID) > 3 && !furnished(v) {
		fields = plain
	}
	o := c.open(fields)
	text(c, &v.ID)
	text(c, &v.Name)
	text(c, &v.SlaveID)
	c.resources(&v.Resources)
	list(c, &v.Limits, (*codec).limit)
	optional(c, &v.Command, (*codec).command)
	if fields > plain && (c.enc || c.left > 0) {
		c.furnishing(v)
	}
	c.shut(o)
}

// furnished tells whether a task has any of what furnishing lists.
func furnished(v *offer.Task) bool {
	return v.Function != "" || v.Executor != nil || len(v.Data) > 0 || v.Kill != (offer.KillPolicy{}) || v.MaxCompletion != 0 ||
		len(v.Labels) > 0 || v.Image != nil || v.Check != nil || v.Health != nil || v.Lease != 0 || v.Network != 0 ||
		len(v.Volumes) > 0 || v.Streams != nil || v.ShareCgroups || v.Hostname != ""
}

func (c *codec) furnishing(v *offer.Task) {
	text(c, &v.Function)
	optional(c, &v.Executor, (*codec).executor)
	c.blob(&v.Data)
	c.killPolicy(&v.Kill)
	signed(c, &v.MaxCompletion)
	c.labels(&v.Labels)
	optional(c, &v.Image, (*codec).image)
	optional(c, &v.Check, (*codec).check)
	optional(c, &v.Health, (*codec).healthCheck)
	signed(c, &v.Lease)
	number(c, &v.Network)
	list(c, &v.Volumes, (*codec).mount)
	optional(c, &v.Streams, (*codec).streams)
	c.flag(&v.ShareCgroups)
	text(c, &v.Hostname)
}

func (c *codec) streams(v *offer.Streams) {
	o := c.open(4)
	c.flag(&v.Stdin)
	optional(c, &v.Terminal, (*codec).terminalSize)
	signed(c, &v.OutputBytes)
	signed(c, &v.OutputFiles)
	c.shut(o)
}

func (c *codec) terminalSize(v *offer.TerminalSize) {
	o := c.open(2)
	number(c, &v.Rows)
	number(c, &v.Columns)
	c.shut(o)
}

func (c *codec) tasks(v *[]offer.Task) { list(c, v, (*codec).task) }

func (c *codec) exit(v *offer.Exit) {
	o := c.open(2)
	signed(c, &v.Code)
	signed(c, &v.Signal)
	c.shut(o)
}

func (c *codec) container(v *offer.Container) {
	o := c.open(3)
	text(c, &v.ID)
	signed(c, &v.PID)
	text(c, &v.Sandbox)
	c.shut(o)
}

func (c *codec) boolean(v *bool) { c.flag(v) }

// A report is a status with room for what most have, so that a message that carries one is read into one allocation.
type report struct {
	status    offer.Status
	exit      offer.Exit
	container offer.Container
}

// begin is the status, with zero values in place that optional takes or drops.
func (r *report) begin() *offer.Status {
	r.status.Exit, r.status.Container = &r.exit, &r.container
	return &r.status
}

// status leaves out of the array what most do not have: everything after the container.
func (c *codec) status(v *offer.Status) {
	fields := 16
	if c.enc && len(v.Limitation) == 0 && v.Check == nil {
		fields = 14
	}
	o := c.open(fields)
	text(c, &v.TaskID)
	text(c, &v.SlaveID)
	text(c, &v.ExecutorID)
	number(c, &v.State)
	number(c, &v.Source)
	number(c, &v.Reason)
	text(c, &v.Message)
	c.blob(&v.Data)
	c.moment(&v.Time)
	c.uuid(&v.UUID)
	optional(c, &v.Healthy, (*codec).boolean)
	c.moment(&v.UnreachableTime)
	optional(c, &v.Exit, (*codec).exit)
	optional(c, &v.Container, (*codec).container)
	if fields > 14 && (c.enc || c.left > 0) {
		c.resources(&v.Limitation)
		optional(c, &v.Check, (*codec).checkResult)
	}
	c.shut(o)
}

// statusAs is always for a status that may be known as it is written: there are two or more for each task that runs, and each is written to a
// journal, sent to a master and sent on to a framework.
func (c *codec) statusAs(v **offer.Status, encoded *string) {
	switch {
	case !c.enc && c.forwards:
		c.forwardedStatus(v, encoded)
	case !c.enc || *encoded == "":
		always(c, v, (*codec).status)
	default:
		c.out.b = append(c.out.b, *encoded...)
	}
}

// forwardedStatus reads a status and keeps its bytes, if they are in the copy that its strings are cut from. What has fields that this version does
// not know, or is of an older one, is not kept: it is not sent on as it came.
func (c *codec) forwardedStatus(v **offer.Status, encoded *string) {
	c.openWindow(textWindow / 2)
	at, before := c.at(), c.stranger
	c.stranger = false
	always(c, v, (*codec).status)
	from, to := at-c.textAt, c.at()-c.textAt
	if c.err == nil && !c.stranger && from >= 0 && from < to && to <= len(c.text) && (c.b[at] == msgpcode.FixedArrayLow|14 || c.b[at] == msgpcode.Array16) {
		*encoded = c.text[from:to]
	}
	c.stranger = c.stranger || before
}

func (c *codec) operation(v *offer.Operation) {
	o := c.open(5)
	text(c, &v.ID)
	number(c, &v.Kind)
	c.tasks(&v.Tasks)
	optional(c, &v.Executor, (*codec).executor)
	c.resources(&v.Resources)
	c.shut(o)
}

func (c *codec) operationStatus(v *offer.OperationStatus) {
	o := c.open(6)
	text(c, &v.ID)
	text(c, &v.SlaveID)
	number(c, &v.State)
	number(c, &v.Reason)
	text(c, &v.Message)
	c.uuid(&v.UUID)
	c.shut(o)
}

func (c *codec) filter(v *offer.Filter) {
	o := c.open(1)
	signed(c, &v.Refuse)
	c.shut(o)
}

func (c *codec) domain(v *offer.Domain) {
	o := c.open(2)
	text(c, &v.Region)
	text(c, &v.Zone)
	c.shut(o)
}

func (c *codec) scalar(v *resource.Scalar) { signed(c, v) }

func (c *codec) attribute(v *offer.Attribute) {
	o := c.open(4)
	text(c, &v.Name)
	text(c, &v.Text)
	optional(c, &v.Scalar, (*codec).scalar)
	c.ranges(&v.Ranges)
	c.shut(o)
}

func (c *codec) unavailability(v *offer.Unavailability) {
	o := c.open(2)
	c.moment(&v.Start)
	signed(c, &v.Duration)
	c.shut(o)
}

func (c *codec) drain(v *offer.Drain) {
	o := c.open(2)
	signed(c, &v.MaxGrace)
	c.flag(&v.MarkGone)
	c.shut(o)
}

func (c *codec) slave(v *offer.Slave) {
	o := c.open(7)
	text(c, &v.ID)
	text(c, &v.Hostname)
	text(c, &v.Address)
	c.resources(&v.Resources)
	list(c, &v.Attributes, (*codec).attribute)
	c.domain(&v.Domain)
	text(c, &v.Version)
	c.shut(o)
}

func (c *codec) offer(v *offer.Offer) {
	o := c.open(11)
	text(c, &v.ID)
	text(c, &v.FrameworkID)
	text(c, &v.SlaveID)
	text(c, &v.Hostname)
	text(c, &v.Address)
	text(c, &v.Role)
	c.resources(&v.Resources)
	list(c, &v.Attributes, (*codec).attribute)
	c.domain(&v.Domain)
	list(c, &v.Executors, text)
	optional(c, &v.Unavailability, (*codec).unavailability)
	c.shut(o)
}

func (c *codec) framework(v *offer.Framework) {
	o := c.open(13)
	text(c, &v.ID)
	text(c, &v.Name)
	text(c, &v.User)
	list(c, &v.Roles, text)
	text(c, &v.Principal)
	text(c, &v.Hostname)
	text(c, &v.WebURL)
	c.labels(&v.Labels)
	signed(c, &v.FailoverTimeout)
	c.flag(&v.NoCheckpoint)
	number(c, &v.Capabilities)
	c.minAllocatable(&v.MinAllocatable)
	c.constraints(&v.Constraints)
	c.shut(o)
}

// A roleMinimum is one entry of Framework.MinAllocatable, which travels as a list sorted by role.
type roleMinimum struct {
	role string
	sets []resource.Quantities
}

func (c *codec) roleMinimum(v *roleMinimum) {
	o := c.open(2)
	text(c, &v.role)
	list(c, &v.sets, (*codec).quantities)
	c.shut(o)
}

func (c *codec) minAllocatable(v *map[string][]resource.Quantities) {
	var entries []roleMinimum
	if c.enc && len(*v) > 0 {
		for _, role := range slices.Sorted(maps.Keys(*v)) {
			entries = append(entries, roleMinimum{role, (*v)[role]})
		}
	}
	list(c, &entries, (*codec).roleMinimum)
	if c.enc || len(entries) == 0 || !c.take(64*len(entries)) {
		return
	}
	*v = make(map[string][]resource.Quantities, len(entries))
	for _, e := range entries {
		(*v)[e.role] = e.sets
	}
}

// roleConstraints is one entry of Framework.Constraints, which travels as a list sorted by role.
type roleConstraints struct {
	role   string
	groups []offer.ConstraintGroup
}

func (c *codec) roleConstraints(v *roleConstraints) {
	o := c.open(2)
	text(c, &v.role)
	list(c, &v.groups, (*codec).constraintGroup)
	c.shut(o)
}

func (c *codec) constraintGroup(v *offer.ConstraintGroup) {
	o := c.open(1)
	list(c, (*[]offer.Constraint)(v), (*codec).constraint)
	c.shut(o)
}

func (c *codec) constraint(v *offer.Constraint) {
	o := c.open(4)
	number(c, &v.Of)
	text(c, &v.Attribute)
	number(c, &v.Op)
	text(c, &v.Value)
	c.shut(o)
}

func (c *codec) constraints(v *map[string][]offer.ConstraintGroup) {
	var entries []roleConstraints
	if c.enc && len(*v) > 0 {
		for _, role := range slices.Sorted(maps.Keys(*v)) {
			entries = append(entries, roleConstraints{role, (*v)[role]})
		}
	}
	list(c, &entries, (*codec).roleConstraints)
	if c.enc || len(entries) == 0 || !c.take(64*len(entries)) {
		return
	}
	*v = make(map[string][]offer.ConstraintGroup, len(entries))
	for _, e := range entries {
		(*v)[e.role] = e.groups
	}
}

func (c *codec) taskRef(v *message.TaskRef) {
	o := c.open(4)
	text(c, &v.Framework)
	text(c, &v.Task)
	text(c, &v.Slave)
	signed(c, &v.Lease)
	c.shut(o)
}

func (c *codec) operationRef(v *message.OperationRef) {
	o := c.open(2)
	text(c, &v.Operation)
	text(c, &v.Slave)
	c.shut(o)
}

func (c *codec) slaveTask(v *message.SlaveTask) {
	o := c.open(5)
	text(c, &v.Framework)
	text(c, &v.Role)
	c.task(&v.Task)
	number(c, &v.Latest)
	c.status(&v.Status)
	c.shut(o)
}

func (c *codec) slaveExecutor(v *message.SlaveExecutor) {
	o := c.open(3)
	text(c, &v.Framework)
	text(c, &v.Role)
	c.executor(&v.Executor)
	c.shut(o)
}

func (c *codec) refusal(v *offer.Refusal) {
	o := c.open(2)
	number(c, &v.Reason)
	text(c, &v.Message)
	c.shut(o)
}
