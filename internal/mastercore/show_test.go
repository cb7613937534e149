package mastercore

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func parse(t testing.TB, s string) resource.Resources {
	r, err := resource.Parse(s)
	require.NoError(t, err)
	return r
}

// resourcesJSON reads "cpus:1;mem:64" with marks after an entry: (ops) for dynamically reserved to ops, (ops,v1) or (ops|v1) for a volume in it,
// {ops} for statically reserved.
func resourcesJSON(t testing.TB, s string) resource.Resources {
	var items []resource.Resource
	for _, one := range strings.Split(s, ";") {
		text, mark := one, ""
		if strings.HasSuffix(one, ")") {
			text, mark, _ = strings.Cut(strings.TrimSuffix(one, ")"), "(")
		}
		for _, r := range parse(t, text) {
			if mark != "" {
				role, volume, ok := strings.Cut(strings.ReplaceAll(mark, "|", ","), ",")
				r.Reservations = []resource.Reservation{{Type: resource.Dynamic, Role: role}}
				if ok {
					r.Volume = &resource.Volume{ID: volume, ContainerPath: "data"}
				}
			}
			items = append(items, r)
		}
	}
	r, err := resource.New(items...)
	require.NoError(t, err)
	return r
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func state(t testing.TB, s string) (out offer.State) {
	require.NoError(t, out.UnmarshalText([]byte("TASK_"+strings.ToUpper(s))))
	return out
}

func operationState(t testing.TB, s string) offer.OperationState {
	for i := offer.OperationState(0); i < 10; i++ {
		if i.String() == "OPERATION_"+strings.ToUpper(s) {
			return i
		}
	}
	require.Fail(t, "unknown operation state "+s)
	return 0
}

// uuid reads u7, or - for none.
func uuid(t testing.TB, s string) (u offer.UUID) {
	if s == "-" {
		return u
	}
	n, err := strconv.Atoi(strings.TrimPrefix(s, "u"))
	require.NoError(t, err)
	u[15] = byte(n)
	return u
}

func showUUID(u offer.UUID) string {
	if u.IsZero() {
		return "-"
	}
	return "u" + strconv.Itoa(int(u[15]))
}

func reason(r offer.Reason) string { return strings.TrimPrefix(r.String(), "REASON_") }

func word(s offer.State) string { return strings.ToLower(strings.TrimPrefix(s.String(), "TASK_")) }

func showResources(r resource.Resources) string {
	var parts []string
	for _, e := range r {
		plain := e
		plain.Reservations, plain.Volume = nil, nil
		text := plain.String()
		if e.Reserved() {
			text += "(" + e.Role()
			if e.Volume != nil {
				text += "," + e.Volume.ID
			}
			text += ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ";")
}

func showStatus(st *offer.Status) string {
	s := fmt.Sprintf("%s %s %s", st.TaskID, word(st.State), showUUID(st.UUID))
	if st.SlaveID != "" {
		s += " on " + string(st.SlaveID)
	}
	if st.Reason != offer.ReasonNone {
		s += " " + reason(st.Reason)
	}
	if !st.UnreachableTime.IsZero() {
		s += " since " + st.UnreachableTime.Format("15:04:05")
	}
	if st.Message != "" {
		s += ": " + st.Message
	}
	return s
}

func showTasks(list []offer.Task) string {
	var ids []string
	for _, t := range list {
		ids = append(ids, string(t.ID))
	}
	return strings.Join(ids, ",")
}

func showMany[T ~string](list []T) string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return strings.Join(out, " ")
}

// show prints a message that the master sends, in one line.
func show(m message.Message) string {
	switch m := m.(type) {
	case *message.SlaveRegistered:
		s := "registered " + string(m.ID)
		for _, r := range m.Reconcile {
			s += fmt.Sprintf(" reconcile=%s/%s", r.Framework, r.Task)
		}
		return s
	case *message.SlaveRefused:
		s := "refused " + reason(m.Reason)
		if m.Shutdown {
			s += " shutdown"
		}
		return s + ": " + m.Message
	case *message.Ping:
		if m.Connected {
			return "ping"
		}
		return "ping: register again"
	case *message.Launch:
		s := "launch " + showTasks(m.Tasks) + " of " + string(m.Framework.ID) + " role " + m.Role
		if m.Group {
			s += " as a group"
		}
		return s
	case *message.Kill:
		s := fmt.Sprintf("kill %s/%s", m.Framework, m.Task)
		if m.Policy != nil {
			s += " grace " + m.Policy.Grace.String()
		}
		return s
	case *message.Renewed:
		return fmt.Sprintf("renewed %d", m.Seq)
	case *message.StatusAck:
		return fmt.Sprintf("ack %s/%s %s", m.Framework, m.Task, showUUID(m.UUID))
	case *message.Apply:
		by := string(m.Framework)
		if by == "" {
			by = "an operator"
		}
		return fmt.Sprintf("apply %s %s %s for %s", showUUID(m.UUID), m.Operation.Kind, showResources(m.Operation.Resources), by)
	case *message.OperationAck:
		return fmt.Sprintf("ack operation %s of %s", showUUID(m.UUID), m.Framework)
	case *message.Resend:
		return "resend " + string(m.Framework)
	case *message.FrameworkShutdown:
		return "shut down " + string(m.Framework)
	case *message.ExecutorShutdown:
		return fmt.Sprintf("shut down executor %s/%s", m.Framework, m.Executor)
	case *message.ToExecutor:
		return fmt.Sprintf("to executor %s/%s %s", m.Framework, m.Executor, m.Data)
	case *message.FromExecutor:
		return fmt.Sprintf("from executor %s on %s %s", m.Executor, m.Slave, m.Data)
	case *message.Drain:
		if m.Config == nil {
			return "drain ends"
		}
		return fmt.Sprintf("drain grace %v gone=%v", m.Config.MaxGrace, m.Config.MarkGone)
	case *message.Subscribed:
		return fmt.Sprintf("subscribed %s heartbeat %v", m.ID, m.Heartbeat)
	case *message.Offers:
		s := "offers"
		for _, o := range m.Offers {
			s += fmt.Sprintf(" %s=%s:%s:%s", o.ID, o.SlaveID, o.Role, showResources(o.Resources))
			if len(o.Executors) > 0 {
				s += " with " + showMany(o.Executors)
			}
		}
		return s
	case *message.Rescind:
		return "rescind " + showMany(m.Offers)
	case *message.Update:
		return "update " + showStatus(m.Status)
	case *message.OperationUpdate:
		return fmt.Sprintf("operation %s %s %s %s %s", m.Status.ID, strings.ToLower(strings.TrimPrefix(m.Status.State.String(), "OPERATION_")),
			showUUID(m.Status.UUID), reason(m.Status.Reason), m.Status.Message)
	case *message.Failure:
		if m.Executor == "" {
			return "failure of " + string(m.Slave)
		}
		return fmt.Sprintf("failure of executor %s on %s: %v", m.Executor, m.Slave, m.Exit)
	case *message.Error:
		s := "error " + reason(m.Reason)
		if m.Final {
			s += " final"
		}
		return s + ": " + m.Message
	case *message.Heartbeat:
		return "heartbeat"
	case *message.Operated:
		return fmt.Sprintf("operated %d %s %s", m.Seq, reason(m.Reason), m.Message)
	}
	return fmt.Sprintf("%T", m)
}

func showOps(list []registry.Command) string {
	var out []string
	for _, c := range list {
		name := reflect.TypeOf(c.Op).Elem().Name()
		switch op := c.Op.(type) {
		case *registry.MarkUnreachable:
			name += " " + string(op.ID)
		case *registry.MarkReachable:
			name += " " + string(op.Slave.ID)
		case *registry.CountDown:
			for _, r := range op.Frameworks {
				if r.Remaining < 0 {
					name += fmt.Sprintf(" %s=connected", r.ID)
				} else {
					name += fmt.Sprintf(" %s=%v", r.ID, r.Remaining)
				}
			}
		}
		out = append(out, name)
	}
	return strings.Join(out, " + ")
}
