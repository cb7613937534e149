package slave

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/image"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

// ofImage is a task with an image.
func ofImage(id offer.TaskID, ref string, command offer.Command) offer.Task {
	return offer.Task{ID: id, SlaveID: "s-1", Command: &command, Image: &offer.Image{Reference: ref}}
}

func needsImages(t *testing.T) {
	isolationtest.NeedsRoot(t)
	if runtime.GOOS != "linux" {
		t.Skipf("needs root folders of containers, which %s does not have", runtime.GOOS)
	}
}

// A slave that cannot make an image the root says so once when it starts, and refuses tasks that have one.
func TestImagesAreRefusedWhereTheyCannotBeHad(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process"}})
	take(t, "a registration", m.register)
	m.send(launch(ofImage("t-1", "registry.example.org/x", offer.Command{Value: "true", Shell: true})))
	st := m.state("t-1", offer.Failed)
	require.Equal(t, offer.ReasonUnsupported, st.Reason)
	require.Equal(t, "the container asks for an image, which no isolator of this slave enforces", st.Message)
	require.NoDirExists(t, filepath.Join(dir, "images"))
}

func TestAnImageIsNoUseWithoutWhatMakesItTheRoot(t *testing.T) {
	needsImages(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process", "image"}})
	take(t, "a registration", m.register)
	m.send(launch(ofImage("t-1", "registry.example.org/x", offer.Command{Value: "true", Shell: true})))
	st := m.state("t-1", offer.Failed)
	require.Equal(t, offer.ReasonUnsupported, st.Reason)
	require.Contains(t, st.Message, "a root folder of its own")
}

func TestTheConfigurationOfImagesIsChecked(t *testing.T) {
	_, err := New(Config{WorkDir: "work", Masters: []string{"a:1"}, Image: image.Config{AtOnce: -1}})
	require.EqualError(t, err, "slave: config: image: config: AtOnce is -1 (allowed: more than zero)")
	_, err = New(Config{WorkDir: "work", Masters: []string{"a:1"}, Image: image.Config{Store: image.StoreConfig{Dir: "relative"}}})
	require.ErrorContains(t, err, `slave: config: image: config: Dir is "relative"`)
}

// theImage is a small image with a shell.
func theImage(t *testing.T) string {
	return isolationtest.Image{Programs: []string{"sh", "cat", "id", "ls", "sleep", "head", "true"},
		Files: map[string]string{"greeting": "hello from the image\n", "etc/passwd": "app:x:1234:2345::/:/bin/sh\n", "etc/group": "more:x:777:app\n", "open/": ""},
		Config: map[string]any{"Entrypoint": []string{"/bin/sh", "-c"}, "Cmd": []string{"cat greeting; id -u; id -G; echo $MINE; pwd"}, "Env": []string{"PATH=/bin", "MINE=image"},
			"User": "app", "WorkingDir": "/"}}.Write(t)
}

// leftRoots is what a slave's containers have left of root folders and mounts.
func leftRoots(t *testing.T, dir string) (left []string) {
	entries, err := os.ReadDir(filepath.Join(dir, "images", "roots"))
	require.NoError(t, err)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if strings.Contains(line, dir) {
			left = append(left, line)
		}
	}
	return left
}

func stdoutOf(t *testing.T, dir string, id offer.TaskID) string {
	b, err := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks", string(id), "stdout"))
	require.NoError(t, err)
	return string(b)
}

func TestATaskRunsInItsImage(t *testing.T) {
	needsImages(t)
	for _, copies := range []bool{false, true} {
		t.Run(map[bool]string{false: "with overlayfs if there is", true: "as a copy"}[copies], func(t *testing.T) {
			network := memtransport.New()
			m := newMaster(t, network, "master:5050", 1)
			folder, dir := theImage(t), workDir(t)
			startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process", "namespace", "image"},
				Image: image.Config{Copy: copies, Store: image.StoreConfig{Folders: []string{folder}}}})
			take(t, "a registration", m.register)
			m.uncounted = true
			ref := "layout:" + folder
			m.send(launch(ofImage("t-1", ref, offer.Command{})))
			m.state("t-1", offer.Running)
			m.state("t-1", offer.Finished)
			require.Equal(t, "hello from the image\n1234\n2345 777\nimage\n/\n", stdoutOf(t, dir, "t-1"))

			// Of the machine's files there is nothing, not even the sandbox's own path; its sandbox is where Mesos has it, and is its own.
			m.send(launch(ofImage("t-2", ref, offer.Command{Shell: true, Value: "ls -d " + dir + " /work /home /usr/bin; cd $MESOS_SANDBOX && pwd && echo mine > file && ls; id -u",
				User: "4321"})))
			m.state("t-2", offer.Running)
			m.state("t-2", offer.Finished)
			require.Equal(t, "/mnt/mesos/sandbox\nfile\nstderr\nstdout\n4321\n", stdoutOf(t, dir, "t-2"))
			require.FileExists(t, filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-2/file"))

			// Two at once do not see each other's writes.
			for _, id := range []offer.TaskID{"t-3", "t-4"} {
				m.send(launch(ofImage(id, ref, offer.Command{Shell: true, Value: "ls /open; echo x > /open/" + string(id) + " && exec sleep 1000"})))
				m.state(id, offer.Running)
			}
			written := func(id offer.TaskID) bool {
				found, err := filepath.Glob(filepath.Join(dir, "images/roots/*/*/open", string(id)))
				require.NoError(t, err)
				return len(found) > 0
			}
			eventually(t, "both have written", func() bool { return written("t-3") && written("t-4") })
			m.send(launch(ofImage("t-5", ref, offer.Command{Shell: true, Value: "ls /open"})))
			m.state("t-5", offer.Running)
			m.state("t-5", offer.Finished)
			require.Empty(t, stdoutOf(t, dir, "t-5")+stdoutOf(t, dir, "t-4")+stdoutOf(t, dir, "t-3"))
			require.Len(t, leftRoots(t, dir), map[bool]int{false: 4, true: 2}[copies])
			for _, id := range []offer.TaskID{"t-3", "t-4"} {
				m.send(&message.Kill{Framework: "f-1", Task: id})
				m.state(id, offer.Killing)
				m.state(id, offer.Killed)
			}
			require.Empty(t, leftRoots(t, dir), "nothing is left of them")
		})
	}
}

func TestATaskWhoseImageIsNoGoodFailsAndSaysWhy(t *testing.T) {
	needsImages(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	folder, dir := theImage(t), workDir(t)
	broken := theImage(t)
	require.NoError(t, os.WriteFile(filepath.Join(broken, "index.json"), []byte("{}"), 0o644))
	startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process", "namespace", "image", "disk"},
		Image: image.Config{Store: image.StoreConfig{Folders: []string{folder, broken}}}})
	take(t, "a registration", m.register)
	m.uncounted = true
	for id, c := range map[offer.TaskID]struct {
		ref    string
		user   string
		reason offer.Reason
		want   string
	}{
		"t-1": {"layout:/etc", "", offer.ReasonForbidden, "image layout:/etc: this slave allows no images there"},
		"t-2": {"registry.example.org/x", "", offer.ReasonForbidden, "this slave pulls from no registry"},
		"t-3": {"layout:" + broken, "", offer.ReasonContainerLaunchFailed, "has no image of tag"},
		"t-4": {"layout:" + folder, "root", offer.ReasonForbidden, "tasks may not run as user 0 on this slave"},
		"t-5": {"layout:" + folder, "nobody-knows", offer.ReasonInvalidField, "is known neither in the image nor on this machine"},
	} {
		m.send(launch(ofImage(id, c.ref, offer.Command{User: c.user})))
		st := m.state(id, offer.Failed)
		require.Equal(t, c.reason, st.Reason, "%+v", st)
		require.Contains(t, st.Message, c.want)
	}
	// What is written to the root folder counts as its disk.
	m.send(launch(sized(ofImage("t-6", "layout:"+folder, offer.Command{Shell: true, Value: "head -c 8000000 /dev/zero > /open/big; exec sleep 1000"}), "cpus:0.1;mem:32;disk:4")))
	m.state("t-6", offer.Running)
	st := m.state("t-6", offer.Failed)
	require.Equal(t, offer.ReasonContainerLimitationDisk, st.Reason)
	require.Contains(t, st.Message, "the sandbox, with what was written to the root folder, holds ")
	require.Empty(t, leftRoots(t, dir))
}

// A slave that is killed finds its containers' root folders again, and removes them in the end.
func TestAKilledSlaveLosesNoRootFolder(t *testing.T) {
	needsImages(t)
	folder, dir := theImage(t), workDir(t)
	t.Setenv("MEROS_TEST_IMAGES", folder)
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	child := startChild(t, dir, m.address)
	take(t, "a registration", m.register)
	ref := "layout:" + folder
	m.send(launch(ofImage("t-1", ref, offer.Command{Shell: true, Value: "while [ ! -e /open/stop ]; do sleep 0.05; done; cat /greeting; exit 9"}),
		ofImage("t-2", ref, offer.Command{Shell: true, Value: "exec sleep 1000"})))
	for range 2 {
		require.Equal(t, offer.Running, take(t, "running", m.updates).Status.State)
	}
	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	require.NotEmpty(t, leftRoots(t, dir))
	startChild(t, dir, m.address)
	take(t, "a reregistration", m.register)
	roots, err := filepath.Glob(filepath.Join(dir, "images/roots/*/root"))
	require.NoError(t, err)
	require.Len(t, roots, 2)
	for _, r := range roots {
		require.NoError(t, os.WriteFile(filepath.Join(r, "open/stop"), nil, 0o644))
	}
	st := m.state("t-1", offer.Failed)
	require.Equal(t, 9, st.Exit.Code)
	require.Equal(t, "hello from the image\n", stdoutOf(t, dir, "t-1"))
	m.send(&message.Kill{Framework: "f-1", Task: "t-2"})
	for take(t, "an end", m.updates).Status.State != offer.Killed {
	}
	require.Empty(t, leftRoots(t, dir))
}

// An executor with an image finds the slave's socket, also that of the slave's next run.
func TestACustomExecutorRunsInAnImage(t *testing.T) {
	needsImages(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	folder := isolationtest.Image{Programs: []string{"sh", os.Args[0]}, Files: map[string]string{"tmp/": ""}}.Write(t)
	cfg := Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process", "namespace", "image"},
		Image: image.Config{Store: image.StoreConfig{Folders: []string{folder}}}}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	task := func(id offer.TaskID) offer.Task {
		task := executorTask(id, string(id))
		task.Executor.Image = &offer.Image{Reference: "layout:" + folder}
		task.Executor.Command.Value = "/bin/" + filepath.Base(os.Args[0])
		task.Executor.Command.Arguments = []string{"executor"}
		return task
	}
	m.send(executorLaunch(task("t-1")))
	require.Equal(t, "t-1", m.state("t-1", offer.Running).Message)
	s.stop()
	startSlave(t, cfg)
	take(t, "a re-registration", m.register)
	m.send(executorLaunch(task("t-2")))
	require.Equal(t, "t-2", m.state("t-2", offer.Running).Message, "it has come back")
	m.send(&message.ExecutorShutdown{Framework: "f-1", Executor: "e-1"})
	take(t, "its end", m.others)
	eventually(t, "nothing is left of it", func() bool { return len(leftRoots(t, dir)) == 0 })
}

func TestImagesAreThrownOutWhenNoTaskHasUsedThemForLong(t *testing.T) {
	needsImages(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	folder, dir := theImage(t), workDir(t)
	startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process", "namespace", "image"},
		SandboxAge: time.Millisecond, CollectEvery: 10 * time.Millisecond, Image: image.Config{Store: image.StoreConfig{Folders: []string{folder}}}})
	take(t, "a registration", m.register)
	layers := func() int {
		found, err := filepath.Glob(filepath.Join(dir, "images/layers/*/fs"))
		require.NoError(t, err)
		return len(found)
	}
	gate := filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1/stop")
	m.send(launch(ofImage("t-1", "layout:"+folder, offer.Command{Shell: true, Value: "while [ ! -e $MESOS_SANDBOX/stop ]; do sleep 0.05; done; cat /greeting"})))
	m.state("t-1", offer.Running)
	require.Equal(t, 1, layers())
	require.NoError(t, os.WriteFile(gate, nil, 0o644))
	m.state("t-1", offer.Finished)
	eventually(t, "the image is thrown out", func() bool { return layers() == 0 })
}
