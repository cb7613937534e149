package slave

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestSandboxesAreKeptForLessTimeTheFullerTheDiskIs(t *testing.T) {
	for _, c := range []struct {
		headroom, usage float64
		want            time.Duration
	}{{0.1, 0, 90 * time.Hour}, {0.1, 0.4, 50 * time.Hour}, {0.1, 0.9, 0}, {0.1, 0.99, 0}, {-1, 0, 100 * time.Hour}, {-1, 0.5, 50 * time.Hour}, {1, 0, 0}} {
		cfg := Config{SandboxAge: 100 * time.Hour, DiskHeadroom: c.headroom}
		require.InDelta(t, c.want, cfg.sandboxAge(c.usage), float64(time.Second), "%+v", c)
	}
	cfg := Config{}.withDefaults()
	require.InDelta(t, 7*24*time.Hour*9/10, cfg.sandboxAge(0), float64(time.Second))
	require.Equal(t, time.Minute, cfg.CollectEvery)
	usage, err := diskUsage(t.TempDir())
	require.NoError(t, err)
	require.True(t, usage > 0 && usage <= 1, usage)
	_, err = diskUsage("/no/such/folder")
	require.Error(t, err)
}

// A still life is a slave that does not run, with a clock and a disk that the test moves.
type stillLife struct {
	*Slave
	t     *testing.T
	now   time.Time
	usage float64
	each  float64 // of the disk, that a sandbox takes
}

func newStillLife(t *testing.T) *stillLife {
	s, err := New(Config{WorkDir: t.TempDir(), Masters: []string{"a:1"}, SandboxAge: 100 * time.Hour, DiskHeadroom: 0.1})
	require.NoError(t, err)
	s.folder = &folder{dir: s.cfg.WorkDir}
	s.live.init()
	l := &stillLife{Slave: s, t: t, now: time.Now()}
	s.collector.now = func() time.Time { return l.now }
	s.collector.usage = func(dir string) (float64, error) {
		require.Equal(t, s.cfg.WorkDir, dir)
		return l.usage + l.each*float64(len(l.left())), nil
	}
	return l
}

func (l *stillLife) sandbox(path string, age time.Duration) string {
	dir := filepath.Join(l.folder.dir, "slaves", path)
	require.NoError(l.t, os.MkdirAll(dir, 0o755))
	at := l.now.Add(-age)
	for _, file := range []string{"stdout", "stderr", "data"} {
		require.NoError(l.t, os.WriteFile(filepath.Join(dir, file), []byte("x"), 0o644))
		require.NoError(l.t, os.Chtimes(filepath.Join(dir, file), at, at))
	}
	require.NoError(l.t, os.Chtimes(dir, at, at))
	return dir
}

func (l *stillLife) left() (left []string) {
	root := filepath.Join(l.folder.dir, "slaves")
	for _, path := range globbed(filepath.Join(root, "*/frameworks/*/*/*")) {
		left = append(left, strings.TrimPrefix(path, root+"/"))
	}
	return left
}

func TestSandboxesOfEarlierSlavesAndFrameworksGrowOldToo(t *testing.T) {
	l := newStillLife(t)
	l.sandbox("s-0/frameworks/f-0/tasks/t-1", 95*time.Hour)
	l.sandbox("s-0/frameworks/f-0/executors/e-1", 10*time.Hour)
	l.sandbox("s-1/frameworks/f-1/old/0123", 95*time.Hour)
	l.sandbox("s-1/frameworks/f-2/tasks/t-1", 85*time.Hour)
	used := l.sandbox("s-1/frameworks/f-2/tasks/busy", 1000*time.Hour)
	volume := filepath.Join(l.folder.dir, "volumes/roles/db/v-1/file")
	require.NoError(t, os.MkdirAll(filepath.Dir(volume), 0o755))
	require.NoError(t, os.WriteFile(volume, []byte("kept"), 0o644))
	require.NoError(t, os.Symlink(filepath.Dir(volume), filepath.Join(l.folder.dir, "slaves/s-1/frameworks/f-1/old/0123/data-link")))
	l.live.started(&isolation.Spec{Container: "c-1", Sandbox: used})
	at := l.now.Add(-95 * time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(l.folder.dir, "slaves/s-1/frameworks/f-1/old/0123"), at, at))

	require.Equal(t, 2, l.collectOnce(t.Context()))
	require.Equal(t, []string{"s-0/frameworks/f-0/executors/e-1", "s-1/frameworks/f-2/tasks/busy", "s-1/frameworks/f-2/tasks/t-1"}, l.left())
	require.NoDirExists(t, filepath.Join(l.folder.dir, "slaves/s-0/frameworks/f-0/tasks"), "the folders above go with the last in them")
	require.NoDirExists(t, filepath.Join(l.folder.dir, "slaves/s-1/frameworks/f-1"))
	require.Zero(t, l.collectOnce(t.Context()))
	l.now = l.now.Add(6 * time.Hour)
	require.Equal(t, 1, l.collectOnce(t.Context()), "the next one has reached the age")
	l.now = l.now.Add(1000 * time.Hour)
	require.Equal(t, 1, l.collectOnce(t.Context()))
	require.Equal(t, []string{"s-1/frameworks/f-2/tasks/busy"}, l.left(), "what is in use stays, however old it is")

	l.leaveSandbox(&isolation.Event{Container: "c-1", Sandbox: used})
	l.now = time.Now().Add(time.Hour)
	future := time.Now().Add(10_000 * time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(used, "stdout"), future, future), "as a task may do")
	require.Zero(t, l.collectOnce(t.Context()), "it grows old from its end on, not from the last change before")
	l.now = time.Now().Add(91 * time.Hour)
	require.Equal(t, 1, l.collectOnce(t.Context()))
	require.Empty(t, l.left())
	l.sandbox("s-1/frameworks/f-3/tasks/t-1", time.Minute)
	l.usage = 0.95
	require.Equal(t, 1, l.collectOnce(t.Context()))
	require.Empty(t, l.left())
	require.FileExists(t, volume, "a volume is never collected")
	left, err := os.ReadDir(l.deletedSandboxes())
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAFullDiskTakesTheOldestSandboxesAndNoMoreThanItMust(t *testing.T) {
	l := newStillLife(t)
	for n := range 9 {
		l.sandbox(fmt.Sprintf("s-1/frameworks/f-1/tasks/t-%d", n), time.Duration(90-10*n)*time.Hour)
	}
	l.each = 0.1 // 90 % of the disk are used: nothing is kept for long
	require.Equal(t, 5, l.collectOnce(t.Context()))
	require.Equal(t, []string{"s-1/frameworks/f-1/tasks/t-5", "s-1/frameworks/f-1/tasks/t-6", "s-1/frameworks/f-1/tasks/t-7", "s-1/frameworks/f-1/tasks/t-8"},
		l.left(), "40 h old, with half of the disk left: that one may stay")
	l.collector.usage = func(string) (float64, error) { return 0, errors.New("no answer") }
	require.Zero(t, l.collectOnce(t.Context()), "a disk that says nothing is not full")
}

func TestWhatASlaveWasDeletingWhenItWasStoppedIsDeletedByTheNext(t *testing.T) {
	l := newStillLife(t)
	outside := filepath.Join(l.folder.dir, "outside")
	require.NoError(t, os.Mkdir(outside, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "file"), nil, 0o644))
	for _, dir := range []string{l.deletedSandboxes(), l.deletedVolumes()} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "1/a/b"), 0o755))
		require.NoError(t, os.Symlink(outside, filepath.Join(dir, "1/a/link")))
		require.NoError(t, os.Symlink(filepath.Join(outside, "file"), filepath.Join(dir, "1/a/b/link")))
	}
	l.emptyDeleted(t.Context())
	for _, dir := range []string{l.deletedSandboxes(), l.deletedVolumes()} {
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	require.FileExists(t, filepath.Join(outside, "file"))
}

// The task is older than any sandbox may become, and the slave that has started it is gone.
func TestTheSandboxOfATaskThatOutlivedItsSlaveIsInUse(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	m.send(launch(command("t-1", "exec sleep 1000")))
	m.state("t-1", offer.Running)
	s.stop()
	sandbox := filepath.Join(cfg.WorkDir, "slaves/s-1/frameworks/f-1/tasks/t-1")
	long := time.Now().Add(-1000 * time.Hour)
	for _, path := range []string{sandbox, sandbox + "/stdout", sandbox + "/stderr"} {
		require.NoError(t, os.Chtimes(path, long, long))
	}
	other := filepath.Join(cfg.WorkDir, "slaves/s-0/frameworks/f-1/tasks/t-1")
	require.NoError(t, os.MkdirAll(other, 0o755))
	cfg.CollectEvery, cfg.SandboxAge, cfg.DiskHeadroom = time.Millisecond, time.Nanosecond, 1
	s = startSlave(t, cfg)
	take(t, "a re-registration", m.register)
	eventually(t, "what an earlier slave left is deleted", func() bool { return len(globbed(other)) == 0 })
	require.DirExists(t, sandbox)
	m.send(&message.Kill{Framework: "f-1", Task: "t-1"})
	take(t, "killing", m.updates)
	m.state("t-1", offer.Killed)
	eventually(t, "its sandbox is deleted", func() bool { return len(globbed(sandbox)) == 0 })
	s.stop()
}

func volumeOf(role, id string, size int64) (free, made resource.Resources) {
	disk := resource.NewScalar("disk", resource.Units(size))
	disk.Reservations = []resource.Reservation{{Type: resource.Static, Role: role}}
	free, _ = resource.New(disk)
	disk.Volume = &resource.Volume{ID: id, ContainerPath: "data"}
	made, _ = resource.New(disk)
	return free, made
}

// Persistent volumes outlive the task, the framework and the slave's process, until they are destroyed.
func TestAVolumeOutlivesEverythingUntilItIsDestroyed(t *testing.T) {
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	dir := workDir(t)
	free, volume := volumeOf("db", "v-1", 64)
	t.Setenv("MEROS_TEST_RESOURCES", "cpus:4;mem:1024;disk(db):64")
	require.True(t, resource.Must("disk(db):64").Equal(free))
	child := startChild(t, dir, m.address)
	take(t, "a registration", m.register)
	operate := func(id string, n byte, kind offer.OperationKind) {
		m.send(&message.Apply{Framework: "f-1", UUID: offer.UUID{n}, Operation: offer.Operation{ID: offer.OperationID(id), Kind: kind, Resources: volume}})
		for {
			up, ok := take(t, "the outcome of "+id, m.others).(*message.OperationUpdate)
			if ok && up.Status.ID == offer.OperationID(id) {
				require.Equal(t, offer.OperationFinished, up.Status.State, up.Status.Message)
				return
			}
		}
	}
	run := func(framework offer.FrameworkID, id offer.TaskID, line string) {
		task := command(id, line)
		task.Resources = volume
		l := launch(task)
		l.Framework.ID, l.Role = framework, "db"
		m.send(l)
		m.state(id, offer.Running)
		m.state(id, offer.Finished)
	}
	operate("create", 1, offer.OperationCreate)
	outside := filepath.Join(filepath.Dir(dir), "outside")
	require.NoError(t, os.Mkdir(outside, 0o777))
	require.NoError(t, os.Chmod(outside, 0o777))
	require.NoError(t, os.WriteFile(filepath.Join(outside, "file"), nil, 0o666))
	run("f-1", "writes", "mkdir -p data/sub; echo kept > data/sub/file; ln -s "+outside+" data/sub/link; ln -s "+outside+"/file data/link; chmod 700 data/sub/file")
	m.send(&message.FrameworkShutdown{Framework: "f-1"})

	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	child = startChild(t, dir, m.address)
	take(t, "a re-registration", m.register)
	run("f-2", "reads", "cat data/sub/file")
	b, err := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-2/tasks/reads/stdout"))
	require.NoError(t, err)
	require.Equal(t, "kept\n", string(b))

	operate("destroy", 2, offer.OperationDestroy)
	eventually(t, "its data are gone from the disk", func() bool {
		return len(globbed(filepath.Join(dir, "volumes/roles/db/*")))+len(globbed(filepath.Join(dir, "volumes/deleted/*"))) == 0
	})
	require.FileExists(t, filepath.Join(outside, "file"), "links in it are not followed")
	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
}

func TestADestroyedVolumeIsFoundInTheJournalAndALostOneIsNot(t *testing.T) {
	free, one := volumeOf("db", "v-1", 64)
	_, two := volumeOf("db", "v-2", 32)
	registered := &slavecore.Registered{Slave: offer.Slave{Resources: one.Add(two)}}
	total := func(rs resource.Resources) slavecore.Record { return &slavecore.Resources{Total: rs} }
	require.Empty(t, destroyed(nil))
	require.Empty(t, destroyed([]slavecore.Record{registered, total(one.Add(two))}))
	require.Equal(t, one, destroyed([]slavecore.Record{registered, total(free.Add(two))}))
	require.Empty(t, destroyed([]slavecore.Record{registered, total(free.Add(two)), total(one.Add(two))}), "made again")
	require.Equal(t, one.Add(two), destroyed([]slavecore.Record{registered, total(one), total(free)}))
	require.Empty(t, destroyed([]slavecore.Record{registered, &slavecore.Registered{Slave: offer.Slave{Resources: free}}}), "nobody destroyed it")
}

// A slave that ends between the record of a destruction and the deletion goes on with it.
func TestADestructionThatWasCutShortIsFinished(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	free, volume := volumeOf("db", "v-1", 64)
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Resources: free.Add(resource.Must("cpus:1"))}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	for n, kind := range []offer.OperationKind{offer.OperationCreate, offer.OperationDestroy} {
		m.send(&message.Apply{Framework: "f-1", UUID: offer.UUID{byte(n + 1)}, Operation: offer.Operation{ID: "op", Kind: kind, Resources: volume}})
		take(t, "the outcome", m.others)
	}
	s.stop()
	dir := filepath.Join(cfg.WorkDir, "volumes/roles/db/v-1")
	require.NoDirExists(t, dir)
	other := filepath.Join(cfg.WorkDir, "volumes/roles/db/never-heard-of")
	for _, d := range []string{dir, other} { // as if the slave had not come to it
		require.NoError(t, os.MkdirAll(filepath.Join(d, "sub"), 0o755))
	}
	s = startSlave(t, cfg)
	take(t, "a re-registration", m.register)
	eventually(t, "it is deleted", func() bool {
		return len(globbed(dir))+len(globbed(filepath.Join(cfg.WorkDir, "volumes/deleted/*"))) == 0
	})
	require.DirExists(t, other, "of a volume that the journal does not know the data stay")
	s.stop()
}
