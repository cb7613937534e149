package mastercore

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestEachFaultOfATaskIsNamed changes a sound task in one place and expects the reason and the name of that place.
func TestEachFaultOfATaskIsNamed(t *testing.T) {
	f := newFleet(t, 1)
	f.subscribe()
	f.step(Received{Conn: 10, Message: f.home(0, 1)})
	c := f.core
	r := &running{n: 1, f: c.frameworks.mut(1), sn: 1, s: c.slaves.mut(1), role: "*", left: resource.Must("cpus:4;mem:1024")}
	command := &offer.Command{Value: "true"}
	group := offer.LaunchGroup()
	custom := offer.Operation{Kind: offer.OperationLaunchGroup, Executor: &offer.Executor{ID: "x", Command: command}}
	for name, tc := range map[string]struct {
		change func(*offer.Task)
		group  *offer.Operation
		reason offer.Reason
		text   string
	}{
		"sound":               {change: func(*offer.Task) {}},
		"function":            {change: func(t *offer.Task) { t.Command, t.Function = nil, "work" }},
		"of a custom group":   {change: func(t *offer.Task) { t.Command = nil }, group: &custom},
		"empty id":            {change: func(t *offer.Task) { t.ID = "" }, reason: offer.ReasonTaskInvalid, text: "task id"},
		"control character":   {change: func(t *offer.Task) { t.ID = "a\nb" }, reason: offer.ReasonTaskInvalid, text: "control character"},
		"long id":             {change: func(t *offer.Task) { t.ID = offer.TaskID(strings.Repeat("x", 256)) }, reason: offer.ReasonTaskInvalid, text: "255"},
		"taken id":            {change: func(t *offer.Task) { t.ID = "task-000000" }, reason: offer.ReasonDuplicateID, text: "in use"},
		"other slave":         {change: func(t *offer.Task) { t.SlaveID = "s-9" }, reason: offer.ReasonTaskInvalid, text: "slave id"},
		"too large":           {change: func(t *offer.Task) { t.Data = make([]byte, 2<<20) }, reason: offer.ReasonTooLarge, text: "bytes"},
		"labels":              {change: func(t *offer.Task) { t.Labels = make([]resource.Label, 300) }, reason: offer.ReasonTooLarge, text: "labels"},
		"negative time":       {change: func(t *offer.Task) { t.MaxCompletion = -time.Second }, reason: offer.ReasonTaskInvalid, text: "max completion"},
		"health check":        {change: func(t *offer.Task) { t.Health = &offer.HealthCheck{Check: offer.Check{Kind: offer.CheckTCP, Port: 80}} }},
		"check without port":  {change: func(t *offer.Task) { t.Check = &offer.Check{Kind: offer.CheckTCP} }, reason: offer.ReasonTaskInvalid, text: "check.port 0: is not a port (allowed: 1 to 65535)"},
		"health, no command":  {change: func(t *offer.Task) { t.Health = &offer.HealthCheck{Check: offer.Check{Kind: offer.CheckCommand}} }, reason: offer.ReasonTaskInvalid, text: "health.command"},
		"short lease":         {change: func(t *offer.Task) { t.Lease = time.Second - 1 }, reason: offer.ReasonTaskInvalid, text: "lease 999.999999ms"},
		"long lease":          {change: func(t *offer.Task) { t.Lease = 13 * time.Hour }, reason: offer.ReasonTaskInvalid, text: "lease 13h0m0s"},
		"leased by a custom":  {change: func(t *offer.Task) { t.Command, t.Lease = nil, time.Minute }, group: &custom, reason: offer.ReasonTaskInvalid, text: "lease"},
		"leased":              {change: func(t *offer.Task) { t.Lease = time.Minute }},
		"empty command":       {change: func(t *offer.Task) { t.Command = &offer.Command{} }, reason: offer.ReasonTaskInvalid, text: "command"},
		"limit of disk":       {change: func(t *offer.Task) { t.Limits = []offer.Limit{{Name: "disk", Amount: 1}} }, reason: offer.ReasonTaskInvalid, text: "disk"},
		"limit below":         {change: func(t *offer.Task) { t.Limits = []offer.Limit{{Name: "cpus", Amount: 999}} }, reason: offer.ReasonTaskInvalid, text: "below"},
		"limit without bound": {change: func(t *offer.Task) { t.Limits = []offer.Limit{{Name: "cpus", Amount: -1}} }},
		"limit twice":         {change: func(t *offer.Task) { t.Limits = []offer.Limit{{Name: "cpus", Amount: -1}, {Name: "cpus", Amount: -1}} }, reason: offer.ReasonTaskInvalid, text: "twice"},
		"revocable and not": {change: func(t *offer.Task) {
			t.Resources = resource.Resources{{Name: "cpus", Scalar: 1}, {Name: "cpus", Scalar: 1, Revocable: true}}
		}, reason: offer.ReasonTaskInvalid, text: "revocable"},
		"streams":             {change: func(t *offer.Task) { t.Streams = &offer.Streams{OutputBytes: 1} }, reason: offer.ReasonTaskInvalid, text: "streams.outputBytes 1"},
		"streams of a member": {change: func(t *offer.Task) { t.Command, t.Streams = nil, &offer.Streams{} }, group: &custom, reason: offer.ReasonTaskInvalid, text: "has the executor's"},
		"network":             {change: func(t *offer.Task) { t.Network = 9 }, reason: offer.ReasonTaskInvalid, text: "network: 9"},
		"volume":              {change: func(t *offer.Task) { t.Volumes = []offer.Volume{{ContainerPath: "a"}} }, reason: offer.ReasonTaskInvalid, text: "volumes[0].hostPath"},
		"network of a member": {change: func(t *offer.Task) { t.Command, t.Network = nil, offer.NetworkNone }, group: &custom, reason: offer.ReasonTaskInvalid, text: "has the executor's"},
		"volume of an executor": {change: func(t *offer.Task) {
			t.Command, t.Executor = nil, &offer.Executor{ID: "x", Command: command, Volumes: []offer.Volume{{}}}
		}, reason: offer.ReasonTaskInvalid, text: "executor: volumes[0].containerPath"},
		"host name":             {change: func(t *offer.Task) { t.Hostname = "web-1.example.org" }},
		"bad host name":         {change: func(t *offer.Task) { t.Hostname = "web_1" }, reason: offer.ReasonTaskInvalid, text: `hostname "web_1": the label "web_1"`},
		"host name of a member": {change: func(t *offer.Task) { t.Command, t.Hostname = nil, "web" }, group: &custom, reason: offer.ReasonTaskInvalid, text: "has the executor's"},
		"bad host name of an executor": {change: func(t *offer.Task) {
			t.Command, t.Executor = nil, &offer.Executor{ID: "x", Command: command, Hostname: "-"}
		}, reason: offer.ReasonTaskInvalid, text: `executor: hostname "-"`},
		"shares with nobody":          {change: func(t *offer.Task) { t.ShareCgroups = true }, reason: offer.ReasonTaskInvalid, text: "share cgroups"},
		"shares with a group":         {change: func(t *offer.Task) { t.ShareCgroups = true }, group: &group},
		"shares in a custom executor": {change: func(t *offer.Task) { t.Command, t.ShareCgroups = nil, true }, group: &custom, reason: offer.ReasonTaskInvalid, text: "share cgroups"},
		"built-in executor":           {change: func(t *offer.Task) { t.Command, t.Executor = nil, &offer.Executor{ID: "x", Default: true} }, reason: offer.ReasonTaskInvalid, text: "built-in"},
		"executor without id":         {change: func(t *offer.Task) { t.Command, t.Executor = nil, &offer.Executor{Command: command} }, reason: offer.ReasonTaskInvalid, text: "executor id"},
		"executor, no command":        {change: func(t *offer.Task) { t.Command, t.Executor = nil, &offer.Executor{ID: "x"} }, reason: offer.ReasonTaskInvalid, text: "command"},
		"executor grace": {change: func(t *offer.Task) {
			t.Command, t.Executor = nil, &offer.Executor{ID: "x", Command: command, ShutdownGrace: -1}
		}, reason: offer.ReasonTaskInvalid, text: "grace"},
		"executor resources": {change: func(t *offer.Task) {
			t.Command, t.Executor = nil, &offer.Executor{ID: "x", Command: command, Resources: resource.Resources{{}}}
		}, reason: offer.ReasonTaskInvalid, text: "name"},
		"executor in a group":    {change: func(t *offer.Task) { t.Command, t.Executor = nil, &offer.Executor{ID: "x"} }, group: &group, reason: offer.ReasonTaskGroupInvalid, text: "of its own"},
		"both in a custom group": {change: func(t *offer.Task) { t.Function = "work" }, group: &custom, reason: offer.ReasonTaskGroupInvalid, text: "both"},
	} {
		task := offer.Task{ID: "new", Command: command, Resources: resource.Must("cpus:1;mem:64")}
		tc.change(&task)
		bad := c.validateTask(r, &task, taskBytes(&task), tc.group)
		if tc.text == "" {
			require.Nil(t, bad, name)
			continue
		}
		require.NotNil(t, bad, name)
		require.Equal(t, tc.reason, bad.Reason, name)
		require.Contains(t, bad.Message, tc.text, name)
	}
}
