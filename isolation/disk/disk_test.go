package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func newIsolator(t testing.TB, cfg Config) *Isolator {
	if cfg.Every == 0 {
		cfg.Every = 30 * time.Millisecond
	}
	i, err := New(cfg)
	require.NoError(t, err)
	return i
}

func TestContract(t *testing.T) {
	isolationtest.TestIsolator(t, func(t *testing.T) isolation.Isolator { return newIsolator(t, Config{}) }, nil)
}

// fill makes a file that is there at its whole size at once, so that no scan meets half of it.
func fill(t testing.TB, path string, size int) {
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	whole := filepath.Join(t.TempDir(), "whole")
	content := bytes.Repeat([]byte("x"), size)
	require.NoError(t, os.WriteFile(whole, content, 0o644))
	if err := os.Rename(whole, path); errors.Is(err, syscall.EXDEV) { // into a mount of the test's own, which nobody scans meanwhile
		require.NoError(t, os.WriteFile(path, content, 0o644))
	} else {
		require.NoError(t, err)
	}
}

// watch starts a watch and returns what it finds.
func watch(t testing.TB, i *Isolator, container string) (<-chan isolation.Limitation, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan isolation.Limitation, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l, err := i.Watch(ctx, container); err == nil {
			out <- l
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return out, cancel
}

func take(t testing.TB, ch <-chan isolation.Limitation) isolation.Limitation {
	select {
	case l := <-ch:
		return l
	case <-time.After(30 * time.Second):
		require.Fail(t, "no limitation was found")
		panic("unreachable")
	}
}

const mebi = 1 << 20

func TestASandboxOverItsDiskIsALimitationWithTheNumbers(t *testing.T) {
	i := newIsolator(t, Config{})
	spec := isolationtest.Spec(t, "c-1", "true")
	spec.Resources = resource.Must("cpus:1;disk:2")
	require.NoError(t, i.Prepare(t.Context(), spec, &isolation.Plan{}))
	fill(t, filepath.Join(spec.Sandbox, "a/b"), mebi)
	found, _ := watch(t, i, "c-1")
	require.Eventually(t, func() bool {
		u, err := i.Usage(t.Context(), "c-1")
		require.NoError(t, err)
		require.Equal(t, uint64(2*mebi), u.DiskLimit)
		return u.DiskBytes >= mebi && u.DiskBytes < mebi+64<<10
	}, 20*time.Second, time.Millisecond)
	require.Empty(t, found, "it is within its limit")
	fill(t, filepath.Join(spec.Sandbox, "a/c"), 2*mebi)
	l := take(t, found)
	require.Equal(t, offer.ReasonContainerLimitationDisk, l.Reason)
	require.Equal(t, "disk limit of 2.0 MiB exceeded: the sandbox holds 3.0 MiB in 3 files", l.Message)
	require.InDelta(t, 3000, int64(l.Resources.Disk()), 64)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	again, err := i.Watch(over, "c-1")
	require.NoError(t, err, "what was found is told, also after the end")
	require.Equal(t, l, again)
	require.NoError(t, i.Cleanup(t.Context(), "c-1"))
	u, err := i.Usage(t.Context(), "c-1")
	require.NoError(t, err)
	require.Zero(t, u)
}

func TestWhatIsCountedAndWhatIsNot(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	size := func() uint64 {
		n, _, err := measure(t.Context(), newPace(), dir, 1000)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, size(), "the folder itself")
	fill(t, filepath.Join(dir, "file"), mebi)
	one := size()
	require.InDelta(t, mebi, one, 4096)
	require.NoError(t, os.Link(filepath.Join(dir, "file"), filepath.Join(dir, "second")))
	require.NoError(t, os.Link(filepath.Join(dir, "file"), filepath.Join(outside, "third")))
	require.Equal(t, one, size(), "a file with three names")
	fill(t, filepath.Join(outside, "large/file"), 3*mebi)
	require.NoError(t, os.Symlink(filepath.Join(outside, "large"), filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(filepath.Join(outside, "large/file"), filepath.Join(dir, "link2")))
	require.InDelta(t, one, size(), 8192, "links are not followed")
	f, err := os.Create(filepath.Join(dir, "sparse"))
	require.NoError(t, err)
	require.NoError(t, f.Truncate(1<<30))
	require.NoError(t, f.Close())
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	require.InDelta(t, one, size(), 8192, "holes take no space")

	f, err = os.OpenFile(filepath.Join(dir, "open"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, os.Remove(f.Name()))
	_, err = f.Write(make([]byte, 2*mebi))
	require.NoError(t, err)
	require.InDelta(t, one, size(), 8192, "a file that is deleted and still open is not seen")
}

func volume(id string, size int64) resource.Resource {
	r := resource.NewScalar(resource.Disk, resource.Units(size))
	r.Reservations = []resource.Reservation{{Type: resource.Static, Role: "db"}}
	r.Volume = &resource.Volume{ID: id, ContainerPath: "data-" + id}
	return r
}

func TestEachVolumeIsHeldToItsOwnSize(t *testing.T) {
	dir := t.TempDir()
	i := newIsolator(t, Config{Volume: func(r resource.Resource) (string, error) {
		if r.Volume.ID == "bad" {
			return "", errors.New("no such volume")
		}
		return filepath.Join(dir, r.Volume.ID), nil
	}})
	spec := isolationtest.Spec(t, "c-1", "true")
	var err error
	spec.Resources, err = resource.New(volume("one", 1), volume("two", 4), resource.NewScalar(resource.Disk, resource.Units(1)))
	require.NoError(t, err)
	require.NoError(t, i.Prepare(t.Context(), spec, &isolation.Plan{}))
	fill(t, filepath.Join(dir, "two/file"), 2*mebi)
	fill(t, filepath.Join(dir, "one/file"), mebi/2)
	require.NoError(t, os.Symlink(filepath.Join(dir, "two"), filepath.Join(spec.Sandbox, "data-two")))
	i.lookAt(t.Context(), "c-1", i.get("c-1"))
	require.Nil(t, i.get("c-1").broken, "6 MiB altogether, and each within its own")
	fill(t, filepath.Join(dir, "one/more"), mebi)
	i.lookAt(t.Context(), "c-1", i.get("c-1"))
	l := i.get("c-1").broken
	require.NotNil(t, l)
	require.Equal(t, `disk limit of 1.0 MiB exceeded: the persistent volume "one" holds 1.5 MiB in 2 files`, l.Message)
	require.Len(t, l.Resources, 1)
	require.Equal(t, "one", l.Resources[0].Volume.ID)
	require.InDelta(t, 1500, int64(l.Resources[0].Scalar), 16)

	spec = isolationtest.Spec(t, "c-2", "true")
	spec.Resources, err = resource.New(volume("bad", 1))
	require.NoError(t, err)
	require.ErrorContains(t, i.Prepare(t.Context(), spec, &isolation.Plan{}), `volume "bad": no such volume`)
}

func TestAContainerOfAnEarlierRunIsHeldAndOneThatAskedForNothingHasABound(t *testing.T) {
	i := newIsolator(t, Config{Unasked: mebi})
	spec := isolationtest.Spec(t, "c-1", "true")
	require.NoError(t, i.Recover(t.Context(), []isolation.Recovered{{Spec: spec, PID: 7}, {Spec: &isolation.Spec{Container: "unreadable"}}}))
	fill(t, filepath.Join(spec.Sandbox, "file"), 2*mebi)
	require.NoError(t, i.Update(t.Context(), "c-1", resource.Must("disk:3"), nil))
	i.lookAt(t.Context(), "c-1", i.get("c-1"))
	require.Nil(t, i.get("c-1").broken)
	require.NoError(t, i.Update(t.Context(), "c-1", resource.Must("cpus:1"), nil))
	require.NoError(t, i.Update(t.Context(), "unreadable", resource.Must("disk:3"), nil))
	found, _ := watch(t, i, "c-1")
	require.Equal(t, "disk limit of 1.0 MiB exceeded: the sandbox holds 2.0 MiB in 1 files", take(t, found).Message)
	require.Nil(t, i.get("unreadable"))

	free := newIsolator(t, Config{Unasked: -1})
	require.NoError(t, free.Prepare(t.Context(), spec, nil))
	free.lookAt(t.Context(), "c-1", free.get("c-1"))
	require.Nil(t, free.get("c-1").broken)
	require.Equal(t, uint64(1<<30), newIsolator(t, Config{}).cfg.withDefaults().placesLimit(t))
}

func (c Config) placesLimit(t *testing.T) uint64 {
	list, err := newIsolator(t, c).places("/sandbox", nil)
	require.NoError(t, err)
	return list[0].limit
}

// What a container writes to a root folder of its own counts as its sandbox does, but not what was there before.
func TestWhatIsWrittenToTheRootFolderCountsToo(t *testing.T) {
	root := t.TempDir()
	fill(t, filepath.Join(root, "image"), 8<<20)
	others, _, err := measure(context.Background(), newPace(), root, 100)
	require.NoError(t, err)
	i := newIsolator(t, Config{Root: func(container string) (string, uint64) {
		if container == "c" {
			return root, others
		}
		return "", 0
	}})
	for _, c := range []string{"c", "d"} {
		spec := isolationtest.Spec(t, c, "true")
		spec.Resources = resource.Must("disk:3")
		require.NoError(t, i.Prepare(context.Background(), spec, &isolation.Plan{}))
		fill(t, filepath.Join(spec.Sandbox, "file"), 2<<20)
	}
	u, err := i.Usage(context.Background(), "c")
	require.NoError(t, err)
	require.InDelta(t, 2<<20, u.DiskBytes, 64<<10)
	other, _ := watch(t, i, "d")
	limited, _ := watch(t, i, "c")
	fill(t, filepath.Join(root, "etc", "more"), 2<<20)
	l := take(t, limited)
	require.Equal(t, offer.ReasonContainerLimitationDisk, l.Reason)
	require.Contains(t, l.Message, "disk limit of 3.0 MiB exceeded: the sandbox, with what was written to the root folder, holds 4.0 MiB in ")
	require.Empty(t, other)
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

func TestAReportIsMadeOnceUntilTheLimitIsKeptAgain(t *testing.T) {
	log := &lines{}
	i := newIsolator(t, Config{ReportOnly: true, Logger: slog.New(slog.NewTextHandler(log, nil))})
	spec := isolationtest.Spec(t, "c-1", "true")
	spec.Resources = resource.Must("disk:1")
	require.NoError(t, i.Prepare(t.Context(), spec, nil))
	file := filepath.Join(spec.Sandbox, "file")
	for round := 1; round <= 2; round++ {
		fill(t, file, 2*mebi)
		for range 3 {
			i.lookAt(t.Context(), "c-1", i.get("c-1"))
		}
		require.Equal(t, round, log.count("disk limit of 1.0 MiB exceeded"))
		require.Nil(t, i.get("c-1").broken)
		require.NoError(t, os.Remove(file))
		i.lookAt(t.Context(), "c-1", i.get("c-1"))
	}
}

// deepen makes a chain of folders that no path can name.
func deepen(t testing.TB, dir string, depth int) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	require.NoError(t, err)
	for range depth {
		require.NoError(t, unix.Mkdirat(fd, "d", 0o755))
		below, err := unix.Openat(fd, "d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Close(fd))
		fd = below
	}
	require.NoError(t, unix.Close(fd))
}

func TestWhatCannotBeMeasuredWithBoundedWorkIsABrokenLimit(t *testing.T) {
	i := newIsolator(t, Config{Files: 1000})
	for name, c := range map[string]struct {
		make func(dir string)
		want string
	}{
		"deep": {func(dir string) { deepen(t, dir, 2100) }, "in 256 files: folders are nested more than 256 deep"},
		"wide": {func(dir string) {
			for n := range 1001 {
				fill(t, filepath.Join(dir, fmt.Sprint(n)), 0)
			}
		}, "in 1001 files: too many files"},
	} {
		base := filepath.Join(t.TempDir(), "x")
		dir := filepath.Join(base, "sandbox")
		require.NoError(t, os.MkdirAll(dir, 0o755))
		c.make(dir)
		spec := &isolation.Spec{Container: name, Sandbox: dir, Resources: resource.Must("disk:64")}
		require.NoError(t, i.Prepare(t.Context(), spec, nil))
		i.lookAt(t.Context(), name, i.get(name))
		l := i.get(name).broken
		require.NotNil(t, l, name)
		require.Contains(t, l.Message, "disk limit of 64.0 MiB cannot be enforced: the sandbox holds ")
		require.Contains(t, l.Message, c.want)
		require.NoError(t, Empty(t.Context(), base), "however deep it is, it can be removed")
		require.NoDirExists(t, dir)
	}
	exactly := filepath.Join(t.TempDir(), "x")
	require.NoError(t, os.Mkdir(exactly, 0o755))
	deepen(t, exactly, maxDepth)
	_, files, err := measure(t.Context(), newPace(), exactly, 1000)
	require.NoError(t, err)
	require.Equal(t, maxDepth, files)
	require.NoError(t, Empty(t.Context(), exactly))
}

func TestEmptyFollowsNoLinkAndRemovesWhatIsClosed(t *testing.T) {
	base := t.TempDir()
	outside, dir := filepath.Join(base, "outside"), filepath.Join(base, "dir")
	fill(t, filepath.Join(outside, "kept/file"), 10)
	fill(t, filepath.Join(dir, "a/b/c/file"), 10)
	for n := range 1500 {
		fill(t, filepath.Join(dir, "a/many", fmt.Sprint(n)), 0)
	}
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "a/link")))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	require.NoError(t, os.Chmod(filepath.Join(dir, "a/b/c"), 0o000))
	require.NoError(t, os.Chmod(filepath.Join(dir, "a/b"), 0o500))
	require.NoError(t, Empty(t.Context(), dir))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.FileExists(t, filepath.Join(outside, "kept/file"))
	require.NoError(t, Empty(t.Context(), filepath.Join(base, "missing")))
	require.Error(t, Empty(t.Context(), filepath.Join(outside, "kept/file")))
	require.NoError(t, os.Symlink(outside, dir+"-link"))
	require.Error(t, Empty(t.Context(), dir+"-link"), "the folder itself may not be a link either")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Empty(over, outside), context.Canceled)
	require.FileExists(t, filepath.Join(outside, "kept/file"))
}

func TestAfterALookThePauseDoublesUnlessTheLimitIsNear(t *testing.T) {
	at := func(bytes uint64) []found { return []found{{place: place{path: "p", limit: 100}, bytes: bytes}} }
	const s, m = time.Second, 15 * time.Second
	require.Equal(t, 2*s, next(nil, at(10), s, s, m))
	require.Equal(t, 8*s, next(at(10), at(10), 4*s, s, m))
	require.Equal(t, m, next(at(10), at(20), 8*s, s, m))
	require.Equal(t, s, next(at(10), at(50), 8*s, s, m))
	require.Equal(t, m, next(at(60), at(50), 15*s, s, m))
}

func TestAmountsAreRoundedUpAndNeverOverflow(t *testing.T) {
	require.Equal(t, resource.Scalar(1), amountOf(1))
	require.Equal(t, resource.Scalar(1000), amountOf(mebi))
	require.Equal(t, resource.Scalar(1001), amountOf(mebi+1))
	require.Equal(t, uint64(mebi), bytesOf(1000))
	require.Equal(t, uint64(1048), bytesOf(1))
	require.Zero(t, bytesOf(0))
}

func TestAConfigThatCannotBeUsedNamesTheField(t *testing.T) {
	_, err := New(Config{Every: -1})
	require.ErrorContains(t, err, "Every is -1ns")
	_, err = New(Config{Files: -1})
	require.ErrorContains(t, err, "Files is -1")
}

// Nothing is left open, whatever a look has met.
func TestLooksLeaveNoDescriptorOpen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("descriptors are counted in /proc")
	}
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(list)
	}
	dir := t.TempDir()
	deepen(t, dir, 300)
	before := count()
	for range 20 {
		_, _, err := measure(t.Context(), newPace(), dir, 1000)
		require.ErrorIs(t, err, errDeep)
		_, _, err = measure(t.Context(), newPace(), dir, 10)
		require.ErrorIs(t, err, errMany)
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err = measure(over, newPace(), dir, 10)
		require.ErrorIs(t, err, context.Canceled)
	}
	require.LessOrEqual(t, count(), before)
	require.NoError(t, Empty(t.Context(), dir))
}

func BenchmarkMeasure(b *testing.B) {
	dir := b.TempDir()
	for n := range 10_000 {
		fill(b, filepath.Join(dir, fmt.Sprint(n%100), fmt.Sprint(n)), 0)
	}
	for b.Loop() {
		_, files, err := measure(b.Context(), newPace(), dir, 1e6)
		require.NoError(b, err)
		require.Equal(b, 10_100, files)
	}
}
