package namespace

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func isolator(t *testing.T, cfg Config) *Isolator {
	i, err := New(cfg)
	require.NoError(t, err)
	return i
}

func TestTheNamespaceIsolatorKeepsTheContract(t *testing.T) {
	isolationtest.NeedsRoot(t)
	isolationtest.TestIsolator(t, func(t *testing.T) isolation.Isolator { return isolator(t, Config{}) }, func(t *testing.T) int {
		cmd := exec.Command("sleep", "1000")
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	})
}

func TestWhatIsMissingIsSaidInALine(t *testing.T) {
	err := Detect()
	switch {
	case runtime.GOOS != "linux":
		require.EqualError(t, err, "namespace: needs Linux")
	case os.Geteuid() != 0:
		require.ErrorContains(t, err, "namespace: needs root, and the slave runs as user ")
	default:
		require.NoError(t, err)
		before, err := os.Readlink("/proc/self/ns/mnt")
		require.NoError(t, err)
		require.NoError(t, Detect())
		after, err := os.Readlink("/proc/self/ns/mnt")
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
	_, err = New(Config{HostPaths: []string{"/srv", "srv/../etc"}})
	require.EqualError(t, err, `namespace: config: HostPaths[1] is "srv/../etc" (allowed: an absolute path without '.' and '..')`)
	_, err = New(Config{ShmBytes: -1})
	require.EqualError(t, err, "namespace: config: ShmBytes is -1 (allowed: zero or more)")
}

func TestAPlanSaysWhatAContainerSees(t *testing.T) {
	isolationtest.NeedsRoot(t)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "shown"), 0o755))
	spec := isolationtest.Spec(t, "c", "true")
	spec.Network, spec.Hostname = offer.NetworkNone, "web"
	spec.Image = &offer.Image{Reference: "any"}
	spec.Volumes = []offer.Volume{{ContainerPath: "/a", HostPath: filepath.Join(dir, "shown"), ReadOnly: true}, {ContainerPath: "b", SandboxPath: "c"},
		{ContainerPath: "/etc/key", Secret: offer.Secret("x")}}
	plan := &isolation.Plan{Directory: spec.Sandbox, Environment: []string{"HOME=" + spec.Sandbox, "TMPDIR=/elsewhere", "MESOS_SANDBOX=" + spec.Sandbox}}
	require.NoError(t, isolator(t, Config{HostPaths: []string{dir}}).Prepare(context.Background(), spec, plan))
	require.Equal(t, &isolation.Namespaces{Network: true, Sandbox: spec.Sandbox, ShmBytes: 64 << 20, Masked: masked, ReadOnly: readOnly, Hostname: "web"}, plan.Namespaces)
	require.Equal(t, []isolation.Mount{
		{Field: "volumes[0]", Target: "/a", Source: filepath.Join(dir, "shown"), Within: dir, ReadOnly: true},
		{Field: "volumes[1]", Target: "b", Source: filepath.Join(spec.Sandbox, "c"), Within: spec.Sandbox, Make: true},
		{Field: "volumes[2]", Target: "/etc/key", Secret: []byte("x"), ReadOnly: true},
	}, plan.Mounts)
	require.Equal(t, isolation.SandboxPath, plan.Directory)
	require.Equal(t, []string{"HOME=" + isolation.SandboxPath, "TMPDIR=/elsewhere", "MESOS_SANDBOX=" + isolation.SandboxPath}, plan.Environment)
}

func TestPathsOfTheMachineThatTasksMayNotSeeAreRefused(t *testing.T) {
	isolationtest.NeedsRoot(t)
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "shown"), 0o755))
	require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "shown", "out")))
	require.NoError(t, os.Symlink("../../../../etc", filepath.Join(dir, "shown", "up")))
	shown := filepath.Join(dir, "shown")
	for _, c := range []struct {
		allowed []string
		path    string
		reason  offer.Reason
		want    string
	}{
		{nil, "/etc", offer.ReasonForbidden, `volumes[0].hostPath "/etc": may not be seen by tasks of this slave (allowed: none)`},
		{[]string{shown}, dir, offer.ReasonForbidden, "(allowed: what is in " + shown + ")"},
		{[]string{shown}, shown + "-not", offer.ReasonForbidden, "may not be seen"},
		{[]string{shown}, shown + "/missing", offer.ReasonInvalidField, "no such file or directory"},
		{[]string{shown}, shown + "/out", offer.ReasonInvalidField, "leads out of the folder that it is to stay in"},
		{[]string{shown}, shown + "/up/passwd", offer.ReasonInvalidField, "leads out of the folder that it is to stay in"},
	} {
		spec := isolationtest.Spec(t, "c", "true")
		spec.Volumes = []offer.Volume{{ContainerPath: "/a", HostPath: c.path}}
		err := isolator(t, Config{HostPaths: c.allowed}).Prepare(context.Background(), spec, &isolation.Plan{})
		require.ErrorIs(t, err, &offer.Refusal{Reason: c.reason})
		require.ErrorContains(t, err, c.want)
	}
}

func TestVolumesDoNotCoverPersistentOnes(t *testing.T) {
	isolationtest.NeedsRoot(t)
	spec := isolationtest.Spec(t, "c", "true")
	spec.Volumes = []offer.Volume{{ContainerPath: filepath.Join(spec.Sandbox, "data"), SandboxPath: "x"}}
	plan := &isolation.Plan{Mounts: []isolation.Mount{{Field: `resources: volume "v"`, Target: "data/here"}}}
	err := isolator(t, Config{}).Prepare(context.Background(), spec, plan)
	require.ErrorContains(t, err, `is, holds or lies in that of resources: volume "v"`)
}
