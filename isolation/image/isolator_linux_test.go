package image

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

var ctx = context.Background()

// newIsolator is one on a folder of the test's own, of which nothing may be left mounted when the test is over.
func newIsolator(t testing.TB, change func(*Config)) *Isolator {
	isolationtest.NeedsRoot(t)
	cfg := Config{Store: StoreConfig{Dir: filepath.Join(t.TempDir(), "store"), Folders: []string{os.TempDir()}, Architecture: "amd64"}}
	if change != nil {
		change(&cfg)
	}
	i, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		left, err := mountsBelow(i.cfg.Store.Dir)
		require.NoError(t, errors.Join(err, unmountBelow(i.cfg.Store.Dir)))
		require.Empty(t, left, "what is mounted is unmounted")
	})
	return i
}

// both calls a test with overlayfs and with copies.
func both(t *testing.T, f func(t *testing.T, change func(*Config))) {
	t.Run("overlay", func(t *testing.T) {
		if i := newIsolator(t, nil); i.copy != "" {
			t.Skipf("no overlayfs in the file system of the test's folder: %s", i.copy)
		}
		f(t, nil)
	})
	t.Run("copy", func(t *testing.T) { f(t, func(c *Config) { c.Copy = true }) })
}

// withImage is a container of an image, with the plan that the process isolator makes.
func withImage(t testing.TB, i *Isolator, container, ref string, change func(*isolation.Spec)) (*isolation.Spec, *isolation.Plan, error) {
	spec := isolationtest.Spec(t, container, "true")
	spec.Image = &offer.Image{Reference: ref}
	if change != nil {
		change(spec)
	}
	plan := &isolation.Plan{}
	chain := isolation.Chain{process.New(process.Config{}), i, &isolationtest.Isolator{Gives: []isolation.Feature{isolation.FeatureRootfs}}}
	err := chain.Prepare(ctx, spec, plan)
	if err == nil {
		err = chain.Provide(ctx, spec, plan)
	}
	return spec, plan, err
}

// nothing shows that nothing of a container is left.
func nothing(t testing.TB, i *Isolator) {
	require.Zero(t, count(t, i.store, "roots"))
	require.Zero(t, count(t, i.store, "refs"))
	clean(t, i.store)
	left, err := mountsBelow(i.cfg.Store.Dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestTheIsolatorKeepsTheContract(t *testing.T) {
	isolationtest.TestIsolator(t, func(t *testing.T) isolation.Isolator { return newIsolator(t, nil) }, nil)
}

func TestARootFolderIsWhatTheLayersMean(t *testing.T) {
	both(t, func(t *testing.T, change func(*Config)) {
		i := newIsolator(t, change)
		m, want := layered()
		ref := "layout:" + layoutOf(t, map[string]*made{"latest": m})
		_, plan, err := withImage(t, i, "c-1", ref, nil)
		require.NoError(t, err)
		require.True(t, filepath.IsAbs(plan.Rootfs))
		require.Equal(t, want, withoutFolder(tree(t, plan.Rootfs), "srv/"))
		require.DirExists(t, filepath.Join(plan.Rootfs, "srv"), "the image's working directory is made")
		st, err := os.Stat(plan.Rootfs)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o755), st.Mode().Perm())
		require.NoError(t, i.Cleanup(ctx, "c-1"))
		require.NoDirExists(t, plan.Rootfs)
		nothing(t, i)
	})
}

func withoutFolder(lines []string, name string) (out []string) {
	for _, l := range lines {
		if l != name {
			out = append(out, l)
		}
	}
	return out
}

func TestTwoContainersOfAnImageDoNotSeeEachOther(t *testing.T) {
	both(t, func(t *testing.T, change func(*Config)) {
		i := newIsolator(t, change)
		ref := "layout:" + layoutOf(t, map[string]*made{"latest": makeImage(nil, archive("a/", "a/x one", "a/y two"), archive("b three"))})
		_, one, err := withImage(t, i, "c-1", ref, nil)
		require.NoError(t, err)
		_, two, err := withImage(t, i, "c-2", ref, nil)
		require.NoError(t, err)
		require.Equal(t, 2, count(t, i.store, "layers"), "they share the layers")
		require.NoError(t, os.WriteFile(filepath.Join(one.Rootfs, "a/x"), []byte("mine"), 0o644))
		require.NoError(t, os.Remove(filepath.Join(one.Rootfs, "a/y")))
		require.NoError(t, os.RemoveAll(filepath.Join(one.Rootfs, "b")))
		require.NoError(t, os.WriteFile(filepath.Join(one.Rootfs, "new"), make([]byte, 1<<20), 0o644))
		require.Equal(t, []string{"a/", "a/x one", "a/y two", "b three", "srv/"}, tree(t, two.Rootfs))
		_, three, err := withImage(t, i, "c-3", ref, nil)
		require.NoError(t, err)
		require.Equal(t, []string{"a/", "a/x one", "a/y two", "b three", "srv/"}, tree(t, three.Rootfs))
		// What a container has written is told apart from its image.
		dir, images := i.Written("c-1")
		size, err := blocksOf(ctx, dir)
		require.NoError(t, err)
		require.InDelta(t, 1<<20, size-images, 64<<10)
		dir, images = i.Written("c-2")
		size, err = blocksOf(ctx, dir)
		require.NoError(t, err)
		require.Less(t, size-images, uint64(64<<10))
		dir, _ = i.Written("c-9")
		require.Empty(t, dir)
		for _, c := range []string{"c-1", "c-2", "c-3"} {
			require.NoError(t, i.Cleanup(ctx, c))
		}
		nothing(t, i)
		require.Equal(t, 2, count(t, i.store, "layers"), "the image stays for the next one")
	})
}

func TestAnImageOfManyLayersFitsIntoAMount(t *testing.T) {
	i := newIsolator(t, func(c *Config) { c.Store.Dir = filepath.Join(c.Store.Dir, "a:b,c d", strings.Repeat("long", 30)) })
	var layers [][]byte
	for n := range 128 {
		layers = append(layers, archive("f "+strings.Repeat("x", n)))
	}
	_, plan, err := withImage(t, i, "c-1", "layout:"+layoutOf(t, map[string]*made{"latest": makeImage(nil, layers...)}), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"f " + strings.Repeat("x", 127), "srv/"}, tree(t, plan.Rootfs))
	require.NoError(t, i.Cleanup(ctx, "c-1"))
	nothing(t, i)
}

func TestWhatTheImageSaysIsUsedUnlessTheTaskSaysIt(t *testing.T) {
	i := newIsolator(t, nil)
	lists := archive("etc/", "etc/passwd root:x:0:0:root:/root:/bin/sh\napp:x:1234:2345:app:/home/app:/bin/sh\nzero:x:1235:0::/:\n"+
		"odd:x\ndeep:x:4294967295:1::/:\n", "etc/group root:x:0:\nstaff:x:777:app,other\nwheel:x:0:app\nusers:x:2345:\n", "link -> /etc", "cmd/", "file x")
	images := map[string]*made{"latest": makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) {
		c.Config.Env = []string{"PATH=/app/bin", "MINE=image", "THEIRS=image", "MESOS_TASK_ID=image", "bad", "=worse"}
		c.Config.User, c.Config.WorkingDir = "app", "/link/new/deep"
	}, lists), "bare": makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.Config = ocispec.ImageConfig{} }, lists)}
	for user, tag := range map[string]string{"0": "root", "root": "named", "app:staff": "grouped", "app:none": "nogroup", "1236": "number", "zero": "zero", "nobody-knows": "unknown", "4294967295": "minus"} {
		images[tag] = makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.Config = ocispec.ImageConfig{User: user} }, lists)
	}
	images["blocked"] = makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.Config.WorkingDir = "/file/x" }, lists)
	dir := "layout:" + layoutOf(t, images)
	n := 0
	run := func(tag string, change func(*isolation.Spec)) (*isolation.Spec, *isolation.Plan, error) {
		n++
		spec, plan, err := withImage(t, i, "c-"+tag+string(rune('a'+n)), dir+":"+tag, change)
		require.NoError(t, i.Cleanup(ctx, spec.Container))
		return spec, plan, err
	}
	command := func(c offer.Command) func(*isolation.Spec) { return func(s *isolation.Spec) { s.Command = &c } }

	spec, plan, err := run("latest", func(s *isolation.Spec) {
		s.Command = &offer.Command{Environment: []offer.Variable{{Name: "MINE", Value: "task"}}}
		s.Environment = []offer.Variable{{Name: "MESOS_TASK_ID", Value: "t-1"}}
	})
	require.NoError(t, err)
	require.Equal(t, []string{"/bin/app", "serve"}, plan.Argv)
	require.Equal(t, "/link/new/deep", plan.Directory)
	require.Equal(t, &isolation.User{UID: 1234, GID: 2345, Groups: []int{777}, Name: "app", Home: "/home/app"}, plan.User)
	for name, want := range map[string]string{"PATH": "/app/bin", "MINE": "task", "THEIRS": "image", "MESOS_TASK_ID": "t-1", "USER": "app", "HOME": spec.Sandbox, "bad": ""} {
		require.Equal(t, want, plan.Getenv(name), name)
	}
	st, err := os.Stat(spec.Sandbox)
	require.NoError(t, err)
	require.EqualValues(t, 1234, st.Sys().(*syscall.Stat_t).Uid, "the sandbox is its user's")

	// The command goes before the image, and so does the user.
	_, plan, err = run("latest", command(offer.Command{Value: "ls", Arguments: []string{"ls", "-l"}}))
	require.NoError(t, err)
	require.Equal(t, "ls", plan.Program+plan.Argv[0])
	_, plan, err = run("latest", command(offer.Command{Value: "echo $A", Shell: true}))
	require.NoError(t, err)
	require.Equal(t, []string{"/bin/sh", "-c", "echo $A"}, plan.Argv)
	_, plan, err = run("latest", command(offer.Command{Arguments: []string{"-v"}}))
	require.NoError(t, err)
	require.Equal(t, []string{"/bin/app", "-v"}, plan.Argv)
	_, plan, err = run("latest", func(s *isolation.Spec) { s.User = "1236:staff" })
	require.NoError(t, err)
	require.Equal(t, &isolation.User{UID: 1236, GID: 777, Name: "1236"}, plan.User)

	// An image that says nothing leaves what every task gets.
	spec, plan, err = run("bare", nil)
	require.NoError(t, err)
	require.Equal(t, spec.Sandbox, plan.Directory)
	require.Equal(t, "nobody", plan.User.Name)
	_, plan, err = run("bare", command(offer.Command{Arguments: []string{"/bin/x", "y"}}))
	require.NoError(t, err)
	require.Equal(t, []string{"/bin/x", "y"}, plan.Argv)
	_, plan, err = run("grouped", nil)
	require.NoError(t, err)
	require.Equal(t, &isolation.User{UID: 1234, GID: 777, Name: "app", Home: "/home/app"}, plan.User)
	_, plan, err = run("number", nil)
	require.NoError(t, err)
	require.Equal(t, &isolation.User{UID: 1236, GID: 1236, Name: "1236"}, plan.User)

	for _, c := range []struct {
		tag    string
		change func(*isolation.Spec)
		reason offer.Reason
		want   string
	}{
		{"bare", command(offer.Command{}), offer.ReasonInvalidField, "command.value: is empty, and the image says nothing about what to run"},
		{"root", nil, offer.ReasonForbidden, `the image's user "0": tasks may not run as user 0 on this slave`},
		{"named", nil, offer.ReasonForbidden, "tasks may not run as user 0 on this slave"},
		{"zero", nil, offer.ReasonForbidden, "tasks may not run as group 0 on this slave (allowed: another one, as in 1235:1235)"},
		{"unknown", nil, offer.ReasonInvalidField, `"nobody-knows": is known neither in the image nor on this machine`},
		{"minus", nil, offer.ReasonInvalidField, "is known neither in the image"},
		{"nogroup", nil, offer.ReasonInvalidField, "its group is not known in the image"},
		{"latest", func(s *isolation.Spec) { s.User = "root" }, offer.ReasonForbidden, `user "root": tasks may not run as user 0`},
		{"latest", func(s *isolation.Spec) { s.User = "app:0" }, offer.ReasonForbidden, "tasks may not run as group 0"},
	} {
		_, _, err := run(c.tag, c.change)
		var refusal *offer.Refusal
		require.ErrorAs(t, err, &refusal, c.tag)
		require.Equal(t, c.reason, refusal.Reason)
		require.ErrorContains(t, err, c.want)
	}
	_, _, err = run("blocked", nil)
	require.ErrorContains(t, err, `its working directory "/file/x" cannot be made`)
	nothing(t, i)
}

func TestAnImagesLinksLeadNowhereElse(t *testing.T) {
	both(t, func(t *testing.T, change func(*Config)) {
		i := newIsolator(t, change)
		outside := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(outside, "passwd"), []byte("evil:x:4242:4242::/:\n"), 0o644))
		images := map[string]*made{"latest": makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.Config.WorkingDir, c.Config.User = "/out/made", "evil" },
			archive("out -> "+outside, "up -> ../../../../../../../../../../"+outside, "etc -> "+outside)),
			"up": makeImage(func(c *ocispec.Image, _ *ocispec.Manifest) { c.Config.WorkingDir, c.Config.User = "/up/made", "" },
				archive("up -> ../../../../../../../../../.."+outside))}
		dir := layoutOf(t, images)
		_, _, err := withImage(t, i, "c-1", "layout:"+dir+":latest", nil)
		require.ErrorContains(t, err, "is known neither in the image nor on this machine")
		_, _, err = withImage(t, i, "c-2", "layout:"+dir+":up", nil)
		require.ErrorContains(t, err, "cannot be made")
		require.Equal(t, []string{"passwd evil:x:4242:4242::/:\n"}, tree(t, outside))
		require.NoError(t, errors.Join(i.Cleanup(ctx, "c-1"), i.Cleanup(ctx, "c-2")))
		nothing(t, i)
	})
}

func TestImagesThatMayNotBeUsedAreRefusedBeforeAnythingIsMade(t *testing.T) {
	i := newIsolator(t, func(c *Config) {
		c.Store.Folders = []string{t.TempDir()}
		c.Store.Registries = []Registry{{Host: "registry.example.org"}}
	})
	for ref, reason := range map[string]offer.Reason{"busybox": offer.ReasonInvalidField, "a b": offer.ReasonInvalidField, "": offer.ReasonInvalidField,
		"registry.example.org/x@sha256:12": offer.ReasonInvalidField, "evil.example.org/x:1": offer.ReasonForbidden, "layout:/etc": offer.ReasonForbidden,
		"archive:" + i.cfg.Store.Folders[0] + "/../x": offer.ReasonForbidden} {
		_, _, err := withImage(t, i, "c-1", ref, nil)
		var refusal *offer.Refusal
		require.ErrorAs(t, err, &refusal, ref)
		require.Equal(t, reason, refusal.Reason, ref)
	}
	nothing(t, i)
	_, err := New(Config{})
	require.ErrorContains(t, err, "image: config: Dir is")
	_, err = New(Config{AtOnce: -1})
	require.ErrorContains(t, err, "AtOnce is -1")
}

func TestAKillEndsAPull(t *testing.T) {
	m := makeImage(nil, archive("a a"))
	asked := make(chan struct{}, 1)
	address := fakeRegistry(t, m, func(_ http.ResponseWriter, r *http.Request, name string) bool {
		if name != string(layersOf(t, m, &ocispec.Manifest{})[0].Digest) {
			return false
		}
		asked <- struct{}{}
		<-r.Context().Done()
		return true
	})
	i := newIsolator(t, func(c *Config) { c.Store.Registries = []Registry{{Host: address}} })
	spec := isolationtest.Spec(t, "c-1", "true")
	spec.Image = &offer.Image{Reference: address + "/x/y:v1"}
	killed, kill := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() { result <- i.Provide(killed, spec, &isolation.Plan{}) }()
	<-asked
	kill()
	require.ErrorIs(t, <-result, context.Canceled)
	require.NoError(t, i.Cleanup(ctx, "c-1"))
	nothing(t, i)
}

func TestAPullerIsHeldToItsTask(t *testing.T) {
	isolationtest.NeedsRoot(t)
	// The same archive again and again, each time something else that a layer must not do, is in the tests of bad images; here it is what the
	// process itself may do.
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"MEROS_TEST_PULLER=" + dir}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// A slave that is killed leaves mounts, and the next one takes away those that nobody knows.
func TestWhatAKilledSlaveLeavesIsFoundAgain(t *testing.T) {
	both(t, func(t *testing.T, change func(*Config)) {
		i := newIsolator(t, change)
		ref := "layout:" + layoutOf(t, map[string]*made{"latest": makeImage(nil, archive("a a"))})
		cfg := jsonOf(i.cfg)
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), "MEROS_TEST_PROVIDER="+string(cfg), "MEROS_TEST_IMAGE="+ref)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		cmd.Stderr = os.Stderr
		require.NoError(t, cmd.Start())
		var roots []string
		require.NoError(t, json.NewDecoder(out).Decode(&roots))
		require.NoError(t, cmd.Process.Kill())
		require.Error(t, cmd.Wait())
		require.Len(t, roots, 2)
		for _, r := range roots {
			require.Equal(t, []string{"a a", "srv/"}, tree(t, r), "it outlives the slave")
		}
		// Half of one, and what belongs to nobody.
		require.NoError(t, os.MkdirAll(i.store.path("roots", "half", "root"), 0o700))
		next, err := New(i.cfg)
		require.NoError(t, err)
		require.NoError(t, next.Recover(ctx, []isolation.Recovered{{Spec: &isolation.Spec{Container: "c-1"}, PID: 1}}))
		require.Equal(t, []string{"a a", "srv/"}, tree(t, roots[0]))
		require.NoDirExists(t, filepath.Dir(roots[1]))
		require.Equal(t, 1, count(t, next.store, "roots"))
		require.Equal(t, 1, count(t, next.store, "refs"))
		// What is in use is not thrown out, though nothing else is known of it.
		require.NoError(t, os.RemoveAll(next.store.path("images")))
		require.NoError(t, os.Mkdir(next.store.path("images"), 0o700))
		require.NoError(t, next.Collect(0))
		require.Equal(t, 1, count(t, next.store, "layers"))
		// One that was not started yet begins anew.
		require.NoError(t, os.WriteFile(filepath.Join(roots[0], "left"), nil, 0o644))
		_, plan, err := withImage(t, next, "c-1", ref, nil)
		require.NoError(t, err)
		require.Equal(t, []string{"a a", "srv/"}, tree(t, plan.Rootfs))
		require.NoError(t, next.Cleanup(ctx, "c-1"))
		require.NoError(t, next.Cleanup(ctx, "c-1"), "once more")
		nothing(t, next)
		require.NoError(t, next.Collect(0))
		require.Zero(t, count(t, next.store, "layers"))
		require.Zero(t, count(t, next.store, "images"))
	})
}

// What somebody else has mounted in a root folder is unmounted, and never emptied.
func TestWhatIsMountedInARootFolderIsNotRemovedWithIt(t *testing.T) {
	both(t, func(t *testing.T, change func(*Config)) {
		i := newIsolator(t, change)
		_, plan, err := withImage(t, i, "c-1", "layout:"+layoutOf(t, map[string]*made{"latest": makeImage(nil, archive("data/", "in use"))}), nil)
		require.NoError(t, err)
		precious := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(precious, "file"), nil, 0o644))
		at := filepath.Join(plan.Rootfs, "data")
		for range 2 { // above each other
			out, err := exec.Command("mount", "--bind", precious, at).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
		busy, err := os.Open(filepath.Join(plan.Rootfs, "in"))
		require.NoError(t, err)
		defer busy.Close()
		require.NoError(t, i.Cleanup(ctx, "c-1"))
		require.FileExists(t, filepath.Join(precious, "file"))
		nothing(t, i)
	})
}

func TestImagesThatNobodyHasUsedForLongAreThrownOut(t *testing.T) {
	i := newIsolator(t, nil)
	dir := layoutOf(t, map[string]*made{"a": makeImage(nil, archive("common x"), archive("a a")), "b": makeImage(nil, archive("common x"), archive("b b"))})
	for _, tag := range []string{"a", "b"} {
		_, _, err := withImage(t, i, "c-"+tag, "layout:"+dir+":"+tag, nil)
		require.NoError(t, err)
	}
	past := time.Now().Add(-48 * time.Hour)
	age := func() {
		for _, kind := range []string{"images", "layers"} {
			entries, err := os.ReadDir(i.store.path(kind))
			require.NoError(t, err)
			for _, e := range entries {
				require.NoError(t, os.Chtimes(i.store.path(kind, e.Name()), past, past))
			}
		}
	}
	age()
	require.NoError(t, i.Collect(24*time.Hour))
	require.Equal(t, 3, count(t, i.store, "layers"), "in use")
	require.NoError(t, i.Cleanup(ctx, "c-a")) // which is a use
	require.NoError(t, i.Collect(24*time.Hour))
	require.Equal(t, 3, count(t, i.store, "layers"))
	age()
	require.NoError(t, i.Collect(72*time.Hour))
	require.Equal(t, 2, count(t, i.store, "images"))
	require.NoError(t, i.Collect(24*time.Hour))
	require.Equal(t, 1, count(t, i.store, "images"), "the other one is in use")
	require.Equal(t, 2, count(t, i.store, "layers"))
	// Where it is not known what is in use, nothing is thrown out.
	require.NoError(t, i.Cleanup(ctx, "c-b"))
	age()
	require.NoError(t, os.WriteFile(i.store.ref("c-z"), []byte(`{"Digest`), 0o600))
	require.ErrorContains(t, i.Collect(24*time.Hour), nameOf("c-z")+".json")
	require.Equal(t, 1, count(t, i.store, "images"))
	require.NoError(t, i.Recover(ctx, nil))
	require.NoError(t, i.Collect(24*time.Hour))
	require.Zero(t, count(t, i.store, "images"))
	require.Zero(t, count(t, i.store, "layers"))
}

// What a killed slave's puller was busy with comes to nothing.
func TestAPullerEndsWithItsSlave(t *testing.T) {
	m := makeImage(nil, archive("a a"))
	asked, gone := make(chan struct{}, 1), make(chan struct{}, 1)
	address := fakeRegistry(t, m, func(_ http.ResponseWriter, r *http.Request, name string) bool {
		if name != string(layersOf(t, m, &ocispec.Manifest{})[0].Digest) {
			return false
		}
		asked <- struct{}{}
		<-r.Context().Done() // the connection is closed
		gone <- struct{}{}
		return true
	})
	i := newIsolator(t, func(c *Config) { c.Store.Registries = []Registry{{Host: address}} })
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "MEROS_TEST_PROVIDER="+string(jsonOf(i.cfg)), "MEROS_TEST_IMAGE="+address+"/x/y:v1")
	require.NoError(t, cmd.Start())
	wait := func(ch chan struct{}, what string) {
		select {
		case <-ch:
		case <-time.After(30 * time.Second):
			require.Fail(t, "it did not happen", what)
		}
	}
	wait(asked, "the puller asks for a layer")
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	wait(gone, "the puller ends")
	next, err := New(i.cfg)
	require.NoError(t, err)
	require.NoError(t, next.Recover(ctx, nil))
	nothing(t, next)
	require.Zero(t, count(t, next.store, "layers"))
}

func TestAContainerGetsAnImageOfARealRegistry(t *testing.T) {
	isolationtest.NeedsRoot(t)
	address := realRegistry(t)
	m, want := layered()
	digest := push(t, address, m)
	both(t, func(t *testing.T, change func(*Config)) {
		i := newIsolator(t, func(c *Config) {
			c.Store.Registries = []Registry{{Host: address, User: "me", Password: "secret"}}
			if change != nil {
				change(c)
			}
		})
		for _, ref := range []string{"/team/app:v1", "/team/app@" + digest} {
			_, plan, err := withImage(t, i, "c-1", address+ref, nil)
			require.NoError(t, err)
			require.Equal(t, want, withoutFolder(tree(t, plan.Rootfs), "srv/"))
			require.NotContains(t, string(jsonOf(plan)), "secret")
			require.NoError(t, i.Cleanup(ctx, "c-1"))
		}
		_, _, err := withImage(t, i, "c-2", address+"/team/app:none", nil)
		require.ErrorContains(t, err, "not found")
		require.NoError(t, i.Cleanup(ctx, "c-2"))
		nothing(t, i)
	})
}
