package slave

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// volumeAt makes a persistent volume on a slave that has registered, and returns how a task asks for it at a path.
func volumeAt(t *testing.T, m *scriptedMaster) func(path string, readOnly bool) resource.Resources {
	at := func(path string, readOnly bool) resource.Resources {
		disk := resource.NewScalar("disk", resource.Units(64))
		disk.Reservations = []resource.Reservation{{Type: resource.Static, Role: "db"}}
		disk.Volume = &resource.Volume{ID: "v-1", ContainerPath: path, ReadOnly: readOnly}
		all, err := resource.New(disk)
		require.NoError(t, err)
		return all
	}
	m.send(&message.Apply{Framework: "f-1", UUID: offer.UUID{1}, Operation: offer.Operation{ID: "op", Kind: offer.OperationCreate, Resources: at("x", false)}})
	done := take(t, "the outcome", m.others).(*message.OperationUpdate)
	require.Equal(t, offer.OperationFinished, done.Status.State, done.Status.Message)
	return at
}

func onVolume(id, line string, resources resource.Resources) *message.Launch {
	task := command(offer.TaskID(id), line)
	task.Resources = resources
	l := launch(task)
	l.Role = "db"
	return l
}

func TestAPersistentVolumeIsMountedWhereTheTaskWantsItAndReadOnlyIfSo(t *testing.T) {
	isolationtest.NeedsRoot(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	elsewhere := filepath.Join(dir, "elsewhere") // the machine's root folder is the task's: it must exist
	s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Resources: resource.Must("cpus:1;mem:64;disk(db):64")})
	<-s.Ready()
	take(t, "a registration", m.register)
	require.NoError(t, os.Mkdir(elsewhere, 0o755))
	at := volumeAt(t, m)
	for i, l := range []*message.Launch{
		onVolume("t-0", "echo kept > "+elsewhere+"/file", at(elsewhere, false)),
		onVolume("t-1", "cat a/b/file; (echo no > a/b/file) 2>&1 | sed 's/.*: //'", at("a/b", true)),
	} {
		m.send(l)
		m.state(offer.TaskID(fmt.Sprint("t-", i)), offer.Running)
		m.state(offer.TaskID(fmt.Sprint("t-", i)), offer.Finished)
	}
	out, err := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1/stdout"))
	require.NoError(t, err)
	require.Equal(t, "kept\nRead-only file system\n", string(out))
	require.Empty(t, globbed(elsewhere+"/*"))
	s.stop()
}

func TestAReadOnlyVolumeThatNobodyEnforcesIsRefused(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Resources: resource.Must("cpus:1;mem:64;disk(db):64"),
		Isolators: []string{"process"}})
	<-s.Ready()
	take(t, "a registration", m.register)
	at := volumeAt(t, m)
	for id, l := range map[offer.TaskID]*message.Launch{"t-0": onVolume("t-0", "true", at("a", true)), "t-1": onVolume("t-1", "true", at("/data", false))} {
		m.send(l)
		st := m.state(id, offer.Failed)
		require.Equal(t, offer.ReasonUnsupported, st.Reason, "%+v", st)
		require.Contains(t, st.Message, `resources: volume "v-1": containerPath`)
	}
	s.stop()
}
