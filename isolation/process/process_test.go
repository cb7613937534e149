package process

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func sleeper(t *testing.T) *exec.Cmd {
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

func TestTheProcessIsolatorKeepsTheContract(t *testing.T) {
	isolationtest.TestIsolator(t, func(*testing.T) isolation.Isolator { return New(Config{}) },
		func(t *testing.T) int { return sleeper(t).Process.Pid })
}

func TestAnIDIsOfOneProcessOnly(t *testing.T) {
	cmd := sleeper(t)
	id, err := Identify(cmd.Process.Pid)
	require.NoError(t, err)
	require.True(t, id.Alive())
	other := id
	other.Start--
	require.False(t, other.Alive(), "another process that had the same number")
	require.ErrorIs(t, other.Signal(syscall.SIGKILL), ErrGone)
	require.True(t, id.Alive(), "it was not hit")
	require.NoError(t, id.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
	require.False(t, id.Alive())
	require.ErrorIs(t, id.Signal(syscall.SIGKILL), ErrGone)
	_, err = Identify(cmd.Process.Pid)
	require.ErrorIs(t, err, ErrGone)
}

func TestRootAndSessionZeroNameNothing(t *testing.T) {
	for _, n := range []int{-1, 0, 1} {
		require.Zero(t, KillTree(n, n))
	}
}

func TestAPlanIsMadeOfTheSpec(t *testing.T) {
	t.Setenv("SECRET", "x")
	spec := isolationtest.Spec(t, "c", "echo hi")
	spec.Environment = []offer.Variable{{Name: "A", Value: "1"}, {Name: "PATH", Value: "/elsewhere"}}
	spec.Command.Environment = []offer.Variable{{Name: "A", Value: "2"}}
	var plan isolation.Plan
	require.NoError(t, New(Config{}).Prepare(context.Background(), spec, &plan))
	require.Equal(t, []string{"/bin/sh", "-c", "echo hi"}, plan.Argv)
	require.Equal(t, "2", plan.Getenv("A"), "the command's own variables win")
	require.Equal(t, "/elsewhere", plan.Getenv("PATH"))
	require.Equal(t, spec.Sandbox, plan.Getenv("HOME"))
	require.Empty(t, plan.Getenv("SECRET"))
	require.True(t, plan.NoNewPrivileges)
	st, err := os.Stat(spec.Sandbox)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), st.Mode().Perm())
	if os.Geteuid() == 0 {
		require.NotZero(t, plan.User.UID, "not root, unless it is allowed and asked for")
		require.Equal(t, plan.User.UID, int(st.Sys().(*syscall.Stat_t).Uid))
		spec.User = "root"
		require.ErrorContains(t, New(Config{}).Prepare(context.Background(), spec, &plan), "may not run as user 0")
		require.NoError(t, New(Config{AllowRoot: true}).Prepare(context.Background(), spec, &plan))
		require.Zero(t, plan.User.UID)
	}
}

func TestCommandsThatSayNothingAreRefused(t *testing.T) {
	for want, c := range map[string]*offer.Command{
		"neither command nor function": nil,
		"a line for the shell":         {Shell: true},
		"a program's path or name":     {},
	} {
		spec := isolationtest.Spec(t, "c", "")
		spec.Command = c
		require.ErrorContains(t, New(Config{}).Prepare(context.Background(), spec, &isolation.Plan{}), want)
	}
	for _, c := range []struct {
		cmd     offer.Command
		program string
		argv    []string
	}{
		{offer.Command{Value: "ls"}, "", []string{"ls"}},
		{offer.Command{Value: "ls", Arguments: []string{"ls", "-l"}}, "", []string{"ls", "-l"}},
		{offer.Command{Value: "/bin/busybox", Arguments: []string{"ls", "-l"}}, "/bin/busybox", []string{"ls", "-l"}},
		{offer.Command{Arguments: []string{"ls", "-l"}}, "", []string{"ls", "-l"}},
	} {
		spec := isolationtest.Spec(t, "c", "")
		spec.Command = &c.cmd
		var plan isolation.Plan
		require.NoError(t, New(Config{}).Prepare(context.Background(), spec, &plan))
		require.Equal(t, c.program, plan.Program)
		require.Equal(t, c.argv, plan.Argv)
	}
}

func TestAConfigThatIsWrongRefusesEveryContainer(t *testing.T) {
	for want, cfg := range map[string]Config{
		`Capabilities[1] is "net_rwa"`:         {Capabilities: []string{"NET_RAW", "net_rwa"}},
		`AllowCalls[0] is "all" beside others`: {AllowCalls: []string{"all", "ptrace"}},
		`Capabilities[0] is ""`:                {Capabilities: []string{""}},
	} {
		require.ErrorContains(t, cfg.Validate(), want)
		require.ErrorContains(t, New(cfg).Prepare(context.Background(), isolationtest.Spec(t, "c", "true"), &isolation.Plan{}), want)
	}
	if len(DeniedCalls()) > 0 {
		require.ErrorContains(t, Config{AllowCalls: []string{"read"}}.Validate(), `AllowCalls[0] is "read"`)
	}
	require.NoError(t, Config{Capabilities: []string{"CAP_NET_RAW", "chown"}, AllowCalls: []string{"all"}}.Validate())
}

func TestTextThatTheSystemWouldMisunderstandIsRefused(t *testing.T) {
	shell := func(line string, vars ...offer.Variable) *isolation.Spec {
		s := isolationtest.Spec(t, "c", line)
		s.Command.Environment = vars
		return s
	}
	argument := isolationtest.Spec(t, "c", "")
	argument.Command = &offer.Command{Value: "echo", Arguments: []string{"echo", "a\x00b"}}
	own := isolationtest.Spec(t, "c", "true")
	own.Environment = []offer.Variable{{Name: "", Value: "x"}}
	function := &isolation.Spec{Container: "c", Function: "f", Sandbox: t.TempDir(), Environment: []offer.Variable{{Name: "A", Value: "x\x00"}}}
	for want, spec := range map[string]*isolation.Spec{
		"command.value: has a NUL byte at 4 of 7":                                       shell("echo\x00hi"),
		"command.arguments[1]: has a NUL byte at 1 of 3":                                argument,
		"command.environment[0].name: \"A=B\" has a '='":                                shell("true", offer.Variable{Name: "A=B", Value: "x"}),
		"command.environment[1].name: is empty":                                         shell("true", offer.Variable{Name: "A"}, offer.Variable{}),
		"command.environment[0].name: has a NUL byte":                                   shell("true", offer.Variable{Name: "A\x00"}),
		"command.environment[0].value: has a NUL byte":                                  shell("true", offer.Variable{Name: "A", Value: "\x00"}),
		"environment[0].name: is empty":                                                 own,
		"environment[0].value: has a NUL byte at 1 of 2, which no program can be given": function,
	} {
		require.ErrorContains(t, New(Config{}).Prepare(context.Background(), spec, &isolation.Plan{}), want)
	}
	require.NoError(t, New(Config{}).Prepare(context.Background(), shell("true", offer.Variable{Name: "a b:\n", Value: "=\n="}), &isolation.Plan{}))
}

func TestASandboxThatLeadsElsewhereIsRefused(t *testing.T) {
	outside := t.TempDir()
	require.NoError(t, os.Chmod(outside, 0o755))
	for _, make := range []func(path string) error{
		func(path string) error { return os.Symlink(outside, path) },
		func(path string) error { return os.WriteFile(path, nil, 0o644) },
		func(path string) error { return syscall.Mkfifo(path, 0o644) },
	} {
		spec := isolationtest.Spec(t, "c", "true")
		spec.Sandbox = t.TempDir() + "/box"
		require.NoError(t, make(spec.Sandbox))
		require.ErrorContains(t, New(Config{}).Prepare(context.Background(), spec, &isolation.Plan{}), "is not a folder, or a link to one")
	}
	st, err := os.Stat(outside)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), st.Mode().Perm())
	require.Equal(t, os.Geteuid(), int(st.Sys().(*syscall.Stat_t).Uid), "what the link led to was left alone")
}

func TestWaitingForAnEndIsOverWhenTheTimeIs(t *testing.T) {
	self, err := Identify(os.Getpid())
	require.NoError(t, err)
	for _, late := range []time.Duration{-time.Second, 0, time.Millisecond, 20 * time.Millisecond} {
		self.Ending()(late)
	}
	require.True(t, self.Alive())
}
