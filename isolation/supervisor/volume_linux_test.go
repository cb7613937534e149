package supervisor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/namespace"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// publicDir is a folder of the test's that tasks of other users reach.
func publicDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/tmp", "mr")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

func TestVolumesOfEachKindAreSeenWhereTheTaskWantsThem(t *testing.T) {
	shown, elsewhere := publicDir(t), publicDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(shown, "file"), []byte("from the machine\n"), 0o644))
	b := newApart(t, namespace.Config{HostPaths: []string{shown}})
	s := b.spec("a", `cat in/file ro/file one; echo x > in/made; (echo x > ro/made) 2>&1 | sed 's/.*: //'; cat key; stat -c '%a %U' key
(echo x > key) 2>&1 | sed 's/.*: //'; echo y > `+elsewhere+`/made; cat own/made; grep -c ' /.*/key .*tmpfs' /proc/self/mountinfo`)
	s.Volumes = []offer.Volume{{ContainerPath: "in", HostPath: shown}, {ContainerPath: "ro", HostPath: shown, ReadOnly: true},
		{ContainerPath: "one", HostPath: shown + "/file"}, {ContainerPath: "key", Secret: offer.Secret("hunter2\n")},
		{ContainerPath: elsewhere, SandboxPath: "own"}}
	require.Equal(t, strings.Repeat("from the machine\n", 3)+"Read-only file system\nhunter2\n400 nobody\nRead-only file system\ny\n1\n", b.run(s), b.output("a", "stderr"))
	require.FileExists(t, filepath.Join(shown, "made"))
	require.NoFileExists(t, filepath.Join(elsewhere, "made"), "it is the sandbox's")
	require.FileExists(t, filepath.Join(s.Sandbox, "own", "made"))
	require.Zero(t, b.bytesIn(filepath.Join(s.Sandbox, "key")), "a secret is not on disk there")
}

func (b *bench) bytesIn(path string) int64 {
	st, err := os.Stat(path)
	require.NoError(b.t, err)
	return st.Size()
}

// putter is an isolator that adds to the plan.
type putter struct {
	isolationtest.Isolator
	rootfs string
	mounts []isolation.Mount
}

func (p *putter) Prepare(_ context.Context, _ *isolation.Spec, plan *isolation.Plan) error {
	plan.Rootfs = p.rootfs
	plan.Mounts = append(plan.Mounts, p.mounts...)
	return nil
}

func TestVolumesAtWrongPathsFailTheStartAndAreNamed(t *testing.T) {
	shown := publicDir(t)
	require.NoError(t, os.WriteFile(filepath.Join(shown, "file"), nil, 0o644))
	require.NoError(t, os.Symlink("/etc", filepath.Join(shown, "link")))
	b := newApart(t, namespace.Config{HostPaths: []string{shown}})
	for i, c := range []struct {
		v    offer.Volume
		want string
	}{
		{offer.Volume{ContainerPath: "/there/is/none", HostPath: shown}, `volumes[0]: containerPath "/there/is/none": does not exist`},
		{offer.Volume{ContainerPath: shown + "/link", HostPath: shown}, "is or passes a link (allowed: a path without)"},
		{offer.Volume{ContainerPath: shown + "/link/ssl", HostPath: shown}, "is or passes a link (allowed: a path without)"},
		{offer.Volume{ContainerPath: "planted", HostPath: shown}, "is or passes a link (allowed: a path without)"},
		{offer.Volume{ContainerPath: "planted/x", Secret: offer.Secret("x")}, "is or passes a link (allowed: a path without)"},
		{offer.Volume{ContainerPath: "x", SandboxPath: "planted"}, "is or passes a link (allowed: a path without)"},
		{offer.Volume{ContainerPath: "/dev/shm", HostPath: shown}, "something is mounted there"},
		{offer.Volume{ContainerPath: shown + "/file", HostPath: shown}, "is a file, and the volume a folder"},
		{offer.Volume{ContainerPath: shown, HostPath: shown + "/file"}, "is a folder, and the volume a file"},
	} {
		s := b.spec(fmt.Sprint(i), "true")
		require.NoError(t, os.Symlink(shown, filepath.Join(s.Sandbox, "planted")))
		s.Volumes = []offer.Volume{c.v}
		b.r.Start(s, false)
		ev := b.next()
		require.Equal(t, isolation.StartFailed, ev.Kind, "%+v", c.v)
		require.Contains(t, ev.Message, c.want)
		require.Contains(t, ev.Message, "volumes[0]")
	}
	require.NoDirExists(t, "/there")
}

// makeRoot copies a shell and some programs, with what they need, to where they are below a folder.
func makeRoot(t *testing.T, programs ...string) string {
	root := filepath.Join(publicDir(t), "root")
	for _, name := range programs {
		path, err := exec.LookPath(name)
		require.NoError(t, err)
		path, err = filepath.EvalSymlinks(path)
		require.NoError(t, err)
		needs, _ := exec.Command("ldd", path).Output()
		for _, file := range append(regexp.MustCompile(`/\S+`).FindAllString(string(needs), -1), path) {
			require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755))
			copyFile(t, file, filepath.Join(root, file))
		}
		require.NoError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
		copyFile(t, path, filepath.Join(root, "bin", name))
	}
	return root
}

// rooted is a bench whose containers have that root folder.
func rooted(t *testing.T, root string) *bench {
	return newApart(t, namespace.Config{}, &putter{Isolator: isolationtest.Isolator{Gives: []isolation.Feature{isolation.FeatureImage}}, rootfs: root})
}

func (b *bench) rootedSpec(id, line string) *isolation.Spec {
	s := b.spec(id, line)
	s.Environment = append(s.Environment, offer.Variable{Name: "MESOS_SANDBOX", Value: s.Sandbox})
	s.Image = &offer.Image{Reference: "any"}
	return s
}

func TestAContainerWithARootFolderOfItsOwnSeesNothingElse(t *testing.T) {
	isolationtest.NeedsRoot(t)
	root := makeRoot(t, "sh", "cat", "ls", "stat", "wc", "readlink")
	require.NoError(t, os.WriteFile(filepath.Join(root, "mark"), []byte("inside\n"), 0o644))
	b := rooted(t, root)
	s := b.rootedSpec("a", `cat /mark; pwd; echo "$MESOS_SANDBOX $HOME"; echo kept > $MESOS_SANDBOX/here; ls /dev; echo x > /dev/null; echo shm > /dev/shm/x
cat /proc/self/mountinfo | while read a b c d where rest; do echo "$where"; done >&2; (echo x > /sys/x) 2>/dev/null || echo denied
readlink /proc/self/fd/1 >/dev/null; test -c /dev/null && test -c /dev/pts/ptmx && echo devices; cat etc/key; ls /tmp 2>/dev/null; cat /etc/hosts | wc -c; exit 0`)
	s.Volumes = []offer.Volume{{ContainerPath: "etc/key", Secret: offer.Secret("hunter2\n")}, {ContainerPath: "/made/here", SandboxPath: "own"}}
	out := b.run(s)
	hosts, _ := os.ReadFile("/etc/hosts")
	require.Equal(t, "inside\n/mnt/mesos/sandbox\n/mnt/mesos/sandbox /mnt/mesos/sandbox\nfd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n"+
		"denied\ndevices\nhunter2\n"+fmt.Sprintln(len(hosts)), out)
	require.FileExists(t, filepath.Join(s.Sandbox, "here"))
	mounts := b.output("a", "stderr")
	require.NotContains(t, mounts, b.base)
	require.Contains(t, mounts, "/made/here\n")
	require.Contains(t, mounts, "/mnt/mesos/sandbox/etc/key\n")
}

func TestLinksThatARootFolderHoldsLeadNowhereElse(t *testing.T) {
	isolationtest.NeedsRoot(t)
	outside := publicDir(t)
	for name, target := range map[string]string{"proc": outside, "dev": "/../../../.." + outside, "etc": outside, "mnt": "/", "sys": "/proc/1/root" + outside} {
		t.Run(name, func(t *testing.T) {
			root := makeRoot(t, "sh", "cat")
			require.NoError(t, os.Symlink(target, filepath.Join(root, name)))
			b := rooted(t, root)
			s := b.rootedSpec("a", "cat /proc/self/mountinfo >/dev/null; echo fine")
			s.Volumes = []offer.Volume{{ContainerPath: "/etc/x/key", Secret: offer.Secret("x")}}
			b.r.Start(s, false)
			ev := b.next()
			if ev.Kind == isolation.Started { // what the link leads to is in the root folder
				b.exited("a")
			}
			entries, err := os.ReadDir(outside)
			require.NoError(t, err)
			require.Empty(t, entries)
			table, err := os.ReadFile("/proc/self/mountinfo")
			require.NoError(t, err)
			require.NotContains(t, string(table), outside)
		})
	}
}

func TestARootFolderWithoutNamespacesIsNoStart(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.r.Close())
	b.r = New(Config{Dir: b.runtime, Isolation: isolation.Chain{process.New(process.Config{}), &putter{rootfs: "/"}}})
	require.NoError(t, b.r.Open(nil, func(ev isolation.Event) { b.events <- ev }))
	b.r.Start(b.spec("a", "true"), false)
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind)
	require.Contains(t, ev.Message, "need namespaces, and the container has none")
}
