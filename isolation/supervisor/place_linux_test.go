package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// openIn starts a runner, as a slave that is started or started again does, with a folder for what goes into memory.
func (b *bench) openIn(memory string, known ...string) {
	require.NoError(b.t, b.r.Close())
	b.r = New(Config{Dir: b.runtime, Memory: memory, Isolation: chainOf(process.Config{})})
	b.events = make(chan isolation.Event, 100)
	require.NoError(b.t, b.r.Open(known, func(ev isolation.Event) { b.events <- ev }))
}

func namesIn(t *testing.T, dir string) []string {
	entries, err := os.ReadDir(dir)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	names := []string{}
	for _, e := range entries {
		if e.Name() != diskLink {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestFilesOfContainersAreInMemoryAndOutliveTheSlaveThere(t *testing.T) {
	b := newBench(t)
	memory := filepath.Join(b.base, "above", "memory")
	b.openIn(memory)
	b.r.Start(b.spec("a", "exec sleep 1000"), false)
	pid := b.started("a")
	require.Equal(t, []string{folderName("a")}, namesIn(t, memory))
	require.Empty(t, namesIn(t, b.runtime))

	b.openIn(memory, "a")
	b.r.Start(b.spec("a", "exec sleep 1000"), true)
	require.Equal(t, pid, b.started("a"), "it was not started again")
	b.r.Kill("a", true)
	require.Equal(t, offer.Exit{Signal: 9}, b.exited("a").Exit)
	b.r.Forget("a")
	require.NoError(t, b.r.Close())
	require.NoDirExists(t, filepath.Dir(memory), "nothing is left when no container is")
}

func TestAContainerThatASlaveDoesNotKnowIsEndedWhereverItsFilesAre(t *testing.T) {
	b := newBench(t)
	memory := filepath.Join(b.base, "memory")
	b.r.Start(b.spec("on-disk", "exec sleep 1000"), false)
	b.started("on-disk")
	b.openIn(memory, "on-disk")
	b.r.Start(b.spec("in-memory", "exec sleep 1000"), false)
	b.started("in-memory")
	dirs := []string{b.r.dir("on-disk"), b.r.dir("in-memory")}
	require.Equal(t, []string{b.runtime, memory}, []string{filepath.Dir(dirs[0]), filepath.Dir(dirs[1])})
	b.openIn(memory)
	for _, dir := range dirs {
		eventually(t, "its files are gone", func() bool { _, err := os.Lstat(dir); return os.IsNotExist(err) })
		require.Zero(t, process.KillMarked(mark(dir)), "nothing of it runs")
	}
}

func TestAContainerStaysWhereItsFilesAre(t *testing.T) {
	b := newBench(t)
	memory := filepath.Join(b.base, "memory")
	b.r.Start(b.spec("a", "exec sleep 1000"), false)
	pid := b.started("a")
	b.openIn(memory, "a")
	b.r.Start(b.spec("a", "exec sleep 1000"), true)
	require.Equal(t, pid, b.started("a"))
	require.Empty(t, namesIn(t, memory))
	b.r.Kill("a", true)
	b.exited("a")
}

func TestAContainerThatIsToldMuchOrFindsNoRoomInMemoryHasItsFilesOnDisk(t *testing.T) {
	b := newBench(t)
	memory := filepath.Join(b.base, "memory")
	b.openIn(memory)
	spec := b.spec("a", "true")
	spec.Environment = []offer.Variable{{Name: "LARGE", Value: string(bytes.Repeat([]byte{'x'}, mostInMemory))}}
	b.r.Start(spec, false)
	b.started("a")
	require.True(t, b.exited("a").Exit.Success())
	require.Equal(t, filepath.Join(b.runtime, folderName("a")), b.r.dir("a"))

	isolationtest.NeedsRoot(t)
	small := filepath.Join(b.base, "small")
	require.NoError(t, os.Mkdir(small, 0o711))
	require.NoError(t, unix.Mount("meros-test", small, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(small, unix.MNT_DETACH)) })
	b.openIn(filepath.Join(small, "memory"), "a")
	b.r.Start(b.spec("b", "true"), false)
	b.started("b")
	require.True(t, b.exited("b").Exit.Success())
	require.Equal(t, filepath.Join(b.runtime, folderName("b")), b.r.dir("b"))
}

func TestAFolderInMemoryGoesWhenItsOwnerIsGoneAndNothingOfItRuns(t *testing.T) {
	b := newBench(t)
	above := filepath.Join(b.base, "memory")
	disk := b.runtime
	left := func(name string) (memory string, pid int) {
		b.runtime = filepath.Join(b.base, "disk-"+name)
		memory = filepath.Join(above, name)
		b.openIn(memory)
		b.r.Start(b.spec(name, "exec sleep 1000"), false)
		return memory, b.started(name)
	}
	ended, pid := left("ended")
	first, err := process.Identify(pid)
	require.NoError(t, err)
	running, _ := left("running")
	stays, _ := left("stays")
	require.NoError(t, b.r.Close())
	for _, name := range []string{"ended", "running"} {
		require.NoError(t, os.RemoveAll(filepath.Join(b.base, "disk-"+name)))
	}
	require.NoError(t, first.Signal(9))
	eventually(t, "it has ended", func() bool { return !first.Alive() })
	b.runtime = disk
	b.openIn(filepath.Join(above, "mine"))
	require.NoDirExists(t, ended)
	require.Len(t, namesIn(t, running), 1)
	require.Len(t, namesIn(t, stays), 1)
	for _, memory := range []string{running, stays} { // their owners come back, and know nothing
		b.runtime = filepath.Join(b.base, "disk-"+filepath.Base(memory))
		b.openIn(memory)
		eventually(t, "it is ended", func() bool { return len(namesIn(t, memory)) == 0 })
	}
}

func TestAFolderInMemoryIsOnlyUsedWhereItIsOneAndNobodyElseCanChangeIt(t *testing.T) {
	isolationtest.NeedsRoot(t)
	base := t.TempDir()
	first, second := filepath.Join(base, "first"), filepath.Join(base, "second")
	for _, dir := range []string{first, second} {
		require.NoError(t, os.Mkdir(dir, 0o777))
	}
	bases := []string{first, second}
	require.Empty(t, memoryDir(bases, "x"), "neither is in memory")

	for _, dir := range bases {
		require.NoError(t, unix.Mount("meros-test", dir, "tmpfs", 0, "size=32m,mode=1777"))
		t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	}
	dir := memoryDir(bases, "x")
	require.Equal(t, filepath.Join(first, memoryFolder, "x"), dir)
	require.Equal(t, dir, memoryDir(bases, "x"))

	require.NoError(t, os.MkdirAll(filepath.Join(second, memoryFolder, "y"), 0o711))
	require.Equal(t, filepath.Join(second, memoryFolder, "y"), memoryDir(bases, "y"), "where there is one already")

	above := filepath.Dir(dir)
	require.NoError(t, os.Chmod(above, 0o777))
	require.Equal(t, filepath.Join(second, memoryFolder, "x"), memoryDir(bases, "x"), "not where others may write")
	require.NoError(t, os.Chmod(above, 0o711))
	require.NoError(t, os.Chown(above, 65534, 65534))
	require.Equal(t, filepath.Join(second, memoryFolder, "x"), memoryDir(bases, "x"), "nor where another user may")
	require.NoError(t, os.Remove(above))
	require.NoError(t, os.Symlink(second, above))
	require.Equal(t, filepath.Join(second, memoryFolder, "x"), memoryDir(bases, "x"), "nor where a link leads")
	require.NoError(t, unix.Mount("", second, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	require.Empty(t, memoryDir(bases, "z"), "nor where nothing can be made")
}
