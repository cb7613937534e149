package slave

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestATaskThatCannotBeStartedSaysWhy(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	m.uncounted = true
	variable := func(name, value string) offer.Command {
		return offer.Command{Shell: true, Value: "true", Environment: []offer.Variable{{Name: name, Value: value}}}
	}
	user := func(name string) offer.Command { return offer.Command{Shell: true, Value: "true", User: name} }
	root := struct {
		reason  offer.Reason
		message string
	}{offer.ReasonForbidden, "tasks may not run as user 0 on this slave"}
	unknown := root
	unknown.reason, unknown.message = offer.ReasonInvalidField, "is not known on this machine"
	if os.Geteuid() != 0 {
		root.message = "may not start tasks of another user"
		unknown = root
	}
	const launching, invalid = offer.ReasonContainerLaunchFailed, offer.ReasonInvalidField
	large := strings.Repeat("x", 3<<20)
	for _, c := range []struct {
		what    string
		command offer.Command
		reason  offer.Reason
		message string
	}{
		{"an unknown user", user("no-such-user"), unknown.reason, unknown.message},
		{"a user that is a path", user("../root"), unknown.reason, unknown.message},
		{"root", user("root"), root.reason, root.message},
		{"root by number", user("0"), root.reason, root.message},
		{"a NUL in the command", offer.Command{Shell: true, Value: "echo\x00; rm -rf /"}, invalid, "command.value: has a NUL byte at 4 of 15"},
		{"a NUL in an argument", offer.Command{Value: "echo", Arguments: []string{"echo", "\x00"}}, invalid, "command.arguments[1]: has a NUL byte at 0 of 1"},
		{"a NUL in a variable", variable("A", "b\x00c"), invalid, "command.environment[0].value: has a NUL byte"},
		{"a variable without a name", variable("", "x"), invalid, "command.environment[0].name: is empty"},
		{"a variable with =", variable("LD_PRELOAD=x", "y"), invalid, `command.environment[0].name: "LD_PRELOAD=x" has a '='`},
		{"3 MiB in one argument", offer.Command{Shell: true, Value: ": " + large}, launching, "/bin/sh: argument list too long: the arguments and the environment have 3"},
		{"3 MiB in many arguments", offer.Command{Value: "true", Arguments: append([]string{"true"}, strings.Split(strings.Repeat("xxxxxxxxxxxxxxx,", 3<<16), ",")...)},
			launching, "true: argument list too long: the arguments and the environment have 3"},
		{"3 MiB as the program", offer.Command{Value: large}, launching, "x: file does not exist in PATH"},
		{"no program", offer.Command{Value: "no-such-program"}, launching, "no-such-program: file does not exist in PATH"},
		{"a folder as the program", offer.Command{Value: "/tmp"}, launching, "/tmp: permission denied"},
		{"a name with nothing", offer.Command{Arguments: []string{""}}, invalid, "command.value: is empty"},
	} {
		x := offer.Task{ID: offer.TaskID(strings.ReplaceAll(c.what, " ", "-")), SlaveID: "s-1", Command: &c.command,
			Resources: resource.Must("cpus:1;mem:512")} // what goes before the program is done with what the task has
		m.send(launch(x))
		st := take(t, "the end of a task with "+c.what, m.updates).Status
		require.Equal(t, x.ID, st.TaskID, "%s: %+v", c.what, st)
		require.Contains(t, []offer.State{offer.Failed, offer.Error}, st.State, "%s: %+v", c.what, st)
		require.Equal(t, c.reason, st.Reason, "%s: %s", c.what, st.Message)
		require.Contains(t, st.Message, c.message, c.what)
		require.Less(t, len(st.Message), 2000, "it does not send back what it was sent")
	}
	alive(m, "afterwards")
	s.stop()
}

// A placer is an isolator that finds something in the sandbox already, as an archive of a stranger may bring it.
type placer struct{ place func(sandbox string) error }

func (placer) Name() string { return "placer" }
func (p placer) Prepare(_ context.Context, spec *isolation.Spec, _ *isolation.Plan) error {
	if spec.Task == "afterwards" {
		return nil
	}
	return p.place(spec.Sandbox)
}
func (placer) Attach(context.Context, string, int) error { return nil }
func (placer) Cleanup(context.Context, string) error     { return nil }

func TestOutputGoesToAFileOfTheSandboxOnly(t *testing.T) {
	for want, place := range map[string]func(path, outside string) error{
		"is a link":                func(path, outside string) error { return os.Symlink(outside, path) },
		"is a fifo":                func(path, _ string) error { return syscall.Mkfifo(path, 0o666) },
		"is a folder":              func(path, _ string) error { return os.Mkdir(path, 0o777) },
		"is a file with 2 names":   func(path, outside string) error { return os.Link(outside, path) },
		"stdout in the sandbox is": func(path, _ string) error { return os.Symlink("nowhere", path) },
	} {
		for _, name := range []string{"stdout", "stderr"} {
			network := memtransport.New()
			m := newMaster(t, network, "master:5050", 1)
			work := workDir(t)
			outside := filepath.Join(filepath.Dir(work), "outside")
			require.NoError(t, os.WriteFile(outside, []byte("untouched"), 0o600))
			s := startSlave(t, Config{WorkDir: work, Masters: []string{"master:5050"}, Network: network, Isolation: isolation.Chain{process.New(process.Config{}),
				placer{func(sandbox string) error { return place(filepath.Join(sandbox, name), outside) }}}})
			<-s.Ready()
			m.uncounted = true
			m.send(launch(command("t-1", "echo written; echo written >&2")))
			st := take(t, "the end of t-1", m.updates).Status
			require.Equal(t, offer.Failed, st.State)
			require.Equal(t, offer.ReasonContainerLaunchFailed, st.Reason)
			require.Contains(t, st.Message, strings.Replace(want, "stdout", name, 1))
			require.Contains(t, st.Message, "(allowed: a file of its own, or none)")
			b, err := os.ReadFile(outside)
			require.NoError(t, err)
			require.Equal(t, "untouched", string(b))
			info, err := os.Stat(outside)
			require.NoError(t, err)
			require.Equal(t, os.Geteuid(), int(info.Sys().(*syscall.Stat_t).Uid), "it was not given to the task's user")
			alive(m, "afterwards")
			s.stop()
		}
	}
}

func TestAFolderWithAnyNameWillDo(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	work := filepath.Join(workDir(t), "a:b\nc d'$(false)%s\\")
	s := startSlave(t, Config{WorkDir: work, Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	m.uncounted = true
	m.send(launch(command("t-1", `pwd > where; env > env; test "$PWD" = "$MESOS_SANDBOX"`)))
	require.Equal(t, offer.Running, take(t, "t-1 runs", m.updates).Status.State)
	st := take(t, "the end of t-1", m.updates).Status
	require.Equal(t, offer.Finished, st.State, "%+v", st)
	box := filepath.Join(work, "slaves/s-1/frameworks/f-1/tasks/t-1")
	where, err := os.ReadFile(filepath.Join(box, "where"))
	require.NoError(t, err)
	require.Equal(t, box+"\n", string(where))
	s.stop()
}

// R7: the program's file is replaced, as an upgrade does it, and then by something that cannot be executed at all.
func TestAnUpgradeOfTheProgramDoesNotTouchWhatRuns(t *testing.T) {
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	m.uncounted = true
	dir := workDir(t)
	binary := filepath.Join(filepath.Dir(dir), "slave")
	b, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, b, 0o755))
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), "MEROS_TEST_SLAVE="+dir, "MEROS_TEST_MASTER="+m.address)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	take(t, "a registration", m.register)
	m.send(launch(command("t-1", "while [ ! -e stop ]; do sleep 0.02; done; exit 9")))
	pid := m.state("t-1", offer.Running).Container.PID
	before, err := process.Identify(pid)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary+".new", []byte("not a program"), 0o644))
	require.NoError(t, os.Rename(binary+".new", binary))
	alive(m, "after-the-upgrade")
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	startChild(t, dir, m.address)
	take(t, "a re-registration", m.register)
	after, err := process.Identify(pid)
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1/stop"), nil, 0o644))
	for {
		st := take(t, "the end of t-1", m.updates).Status
		if st.TaskID == "t-1" && st.State.Terminal() {
			require.Equal(t, &offer.Exit{Code: 9}, st.Exit, "its supervisor has told what it ended with")
			break
		}
	}
}
