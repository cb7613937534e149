package slave

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// everything lists what is below a folder. What goes while it looks is not there.
func everything(t testing.TB, dir string) (list []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		list = append(list, path)
		return err
	}))
	return list
}

// alive runs one task on a slave, to its end or until it runs: whatever it was told before has done no harm.
func alive(m *scriptedMaster, id offer.TaskID) {
	m.t.Helper()
	m.send(launch(command(id, "echo x")))
	for {
		st := take(m.t, "an update of "+string(id), m.updates).Status
		if st.TaskID == id {
			require.Equal(m.t, offer.Running, st.State, "%+v", st)
			break
		}
	}
	for {
		st := take(m.t, "the end of "+string(id), m.updates).Status
		if st.TaskID == id {
			require.Equal(m.t, offer.Finished, st.State, "%+v", st)
			break
		}
	}
}

func TestNothingAMasterSendsLeavesTheFolder(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	work := workDir(t)
	s := startSlave(t, Config{WorkDir: work, Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	bad := []string{"..", ".", "", "../../../../escaped", "/escaped", "a/b", `a\b`, "a\x00b", "a\nb", strings.Repeat("x", 256), " x"}
	var msgs []message.Message
	for _, id := range bad {
		fw := launch(command("fine", "touch escaped"))
		fw.Framework.ID = offer.FrameworkID(id)
		ex := command("with-executor", "")
		ex.Command, ex.Executor = nil, &offer.Executor{ID: offer.ExecutorID(id), Command: &offer.Command{Shell: true, Value: "touch escaped"}}
		group := launch(command("member", "touch escaped"))
		group.Group, group.Executor = true, &offer.Executor{ID: offer.ExecutorID(id), Command: &offer.Command{Shell: true, Value: "x"}}
		msgs = append(msgs, fw, launch(command(offer.TaskID(id), "touch escaped")), launch(ex), group,
			&message.Kill{Framework: offer.FrameworkID(id), Task: offer.TaskID(id)},
			&message.StatusAck{Framework: "f-1", Task: offer.TaskID(id), UUID: offer.UUID{1}},
			&message.FrameworkShutdown{Framework: offer.FrameworkID(id)},
			&message.ExecutorShutdown{Framework: "f-1", Executor: offer.ExecutorID(id)},
			&message.ToExecutor{Framework: "f-1", Executor: offer.ExecutorID(id), Data: []byte("x")},
			&message.SlaveRegistered{ID: offer.SlaveID("s-1"), Reconcile: []message.TaskRef{{Framework: offer.FrameworkID(id), Task: offer.TaskID(id)}}})
	}
	for i, id := range []string{"../../../escaped", "..", "a/b"} {
		disk := resource.Resources{{Name: "disk", Scalar: 1000, Reservations: []resource.Reservation{{Type: resource.Dynamic, Role: "r"}},
			Volume: &resource.Volume{ID: id, ContainerPath: "../escaped"}}}
		msgs = append(msgs, &message.Apply{Framework: "f-1", UUID: offer.UUID{byte(i + 1)}, Operation: offer.Create(disk)},
			&message.Apply{Framework: "f-1", UUID: offer.UUID{byte(i + 10)}, Operation: offer.Destroy(disk)})
	}
	nothing := launch(command("nothing", ""))
	nothing.Tasks[0].Command = nil
	negative := launch(command("negative", "x"))
	negative.Tasks[0].Resources = resource.Resources{{Name: "cpus", Scalar: -1}}
	role := launch(command("role", "x"))
	role.Role = "../x"
	msgs = append(msgs, nothing, negative, role, &message.Apply{Framework: "f-1", UUID: offer.UUID{99}, Operation: offer.Operation{Kind: 77}},
		&message.Launch{}, &message.Drain{}, &message.Subscribed{ID: "f-1"}, &message.Offers{}, &message.SlaveUnregister{})
	m.uncounted = true
	m.send(msgs...)
	alive(m, "afterwards")
	root := filepath.Dir(work)
	for _, path := range everything(t, root) {
		require.NotContains(t, filepath.Base(path), "escaped", "%s was made", path)
	}
	entries, err := os.ReadDir(filepath.Join(work, "slaves/s-1/frameworks"))
	require.NoError(t, err)
	require.Len(t, entries, 1, "only f-1 has a folder")
	_, err = os.Stat("/escaped")
	require.ErrorIs(t, err, fs.ErrNotExist)
	s.stop()
}

func TestAVolumeIsMountedInsideTheSandboxOnly(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	work := workDir(t)
	s := startSlave(t, Config{WorkDir: work, Masters: []string{"master:5050"}, Network: network, Resources: resource.Must("cpus:4;mem:1024;disk(r):1024")})
	<-s.Ready()
	m.uncounted = true
	for i, path := range []string{"../../escaped", "/escaped", "a/../../escaped", ".."} {
		x := command(offer.TaskID("t-"+string(rune('a'+i))), "touch escaped")
		x.Resources = resource.Resources{{Name: "disk", Scalar: 1000, Reservations: []resource.Reservation{{Role: "r"}},
			Volume: &resource.Volume{ID: "v", ContainerPath: path}}}
		m.send(launch(x))
		st := take(t, "the end of "+string(x.ID), m.updates).Status
		require.Contains(t, []offer.State{offer.Failed, offer.Error}, st.State, "%s: %+v", path, st)
		require.NotEqual(t, offer.ReasonNone, st.Reason)
	}
	alive(m, "afterwards")
	for _, path := range everything(t, filepath.Dir(work)) {
		require.NotContains(t, filepath.Base(path), "escaped", "%s was made", path)
	}
	s.stop()
}

func TestAMasterThatTalksNonsenseIsLeft(t *testing.T) {
	refusals := make(chan *offer.Refusal, 100)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 5)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network,
		Observer: Observer{Disconnected: func(r *offer.Refusal) { refusals <- r }}})
	<-s.Ready()
	take(t, "a registration", m.register)
	m.uncounted = true
	tell := func(env message.Envelope) {
		m.mu.Lock()
		require.NoError(t, m.conn.Send(env))
		m.mu.Unlock()
	}
	kill := &message.Kill{Framework: "f-1", Task: "t-1"}
	tell(message.Envelope{Cluster: "another", Reign: 9, Message: kill})
	require.Equal(t, offer.ReasonWrongCluster, take(t, "a disconnection", refusals).Reason)
	take(t, "another registration", m.register)
	tell(message.Envelope{Cluster: m.cluster, Reign: 4, Message: kill})
	require.Equal(t, offer.ReasonOldReign, take(t, "a disconnection", refusals).Reason)
	take(t, "another registration", m.register)
	m.send(&message.SlaveRegistered{ID: "s-2"})
	require.Equal(t, offer.ReasonSlaveConflict, take(t, "a disconnection", refusals).Reason)
	take(t, "another registration", m.register)
	alive(m, "afterwards")
	require.Equal(t, offer.SlaveID("s-1"), s.ID())
	s.stop()
}

func TestAMasterThatSendsGarbageIsTriedAgain(t *testing.T) {
	network := memtransport.New()
	ln, err := network.Listen(t.Context(), "master:5050")
	require.NoError(t, err)
	mux := transport.NewMux(ln, transport.MuxConfig{})
	node := mux.Listener(transport.Node)
	done := make(chan struct{})
	go func() { defer close(done); _ = mux.Run(t.Context()) }()
	garbage := [][]byte{{0xff, 0xff, 0xff, 0xff, 1}, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), {0, 0, 0, 4, 1, 0xc1, 0xc1, 0xc1},
		append([]byte{0, 0x10, 0, 1, 1}, make([]byte, 1<<20)...), {0, 0, 0, 9, 2, 1}}
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Runner: &isolationtest.Runner{}})
	for _, b := range garbage {
		nc, err := node.Accept()
		require.NoError(t, err)
		_, _ = nc.Write(b)
		_ = nc.Close()
	}
	_ = mux.Close()
	<-done
	m := newMaster(t, network, "master:5050", 1)
	take(t, "a registration", m.register)
	<-s.Ready()
	s.stop()
}

func TestRequestsForFilesThatAreNotServed(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	work := workDir(t)
	s := startSlave(t, Config{WorkDir: work, Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	alive(m, "t-1")
	box := filepath.Join(work, "slaves/s-1/frameworks/f-1/tasks/t-1")
	require.NoError(t, os.Symlink("/", filepath.Join(box, "root")))
	require.NoError(t, os.Symlink("..", filepath.Join(box, "up")))
	require.NoError(t, os.Symlink("loop", filepath.Join(box, "loop")))
	require.NoError(t, os.Symlink("/dev/zero", filepath.Join(box, "zero")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(box, "pipe"), 0o666))
	if err := syscall.Mknod(filepath.Join(box, "device"), syscall.S_IFCHR|0o666, 1<<8|5); err != nil {
		t.Log("no device could be made:", err) // not as root
	}
	get := func(endpoint, path string) int {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files/"+endpoint+"?offset=0&path="+url.QueryEscape(path), nil))
		require.NotContains(t, w.Body.String(), "root:", "%s %s", endpoint, path)
		return w.Code
	}
	at := "/frameworks/f-1/tasks/t-1/"
	require.Equal(t, http.StatusOK, get("read", at+"stdout"))
	for _, path := range []string{at + "root/etc/passwd", at + "root", at + "loop", at + "zero", at + "pipe", at + "device", at + "../../../../../../meta/journal",
		"../../meta/journal", "/meta/journal", "/etc/passwd", "frameworks/../../../meta/journal", at + "%2e%2e/%2e%2e/x", at + "stdout\x00", at + `..\..\x`,
		"/frameworks", "", strings.Repeat("/x", 100_000), at + strings.Repeat("x", 5000)} {
		for _, endpoint := range []string{"read", "browse", "download"} {
			require.Equal(t, http.StatusNotFound, get(endpoint, path), "%s %.80s", endpoint, path)
		}
	}
	require.Equal(t, http.StatusBadRequest, get("browse", at+"stdout"))
	require.Equal(t, http.StatusBadRequest, get("read", at+"."))
	for _, query := range []string{"offset=-2", "offset=x", "offset=99999999999999999999", "offset=0&length=-5", "offset=0&length=1e9"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files/read?path="+at+"stdout&"+query, nil))
		require.Equal(t, http.StatusBadRequest, w.Code, query)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files/read?path="+at+"stdout&offset=9223372036854775807&length=9223372036854775807", nil))
	require.Equal(t, http.StatusOK, w.Code, "beyond the end there is nothing")
	for _, target := range []string{"/files/../meta/journal", "/", "/files", "/files/write"} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
		require.NotEqual(t, http.StatusOK, w.Code, target)
	}
	w = httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/files/read?path="+at+"stdout", strings.NewReader(strings.Repeat("x", 1<<20))))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
	s.stop()
}

func TestALongListOfUnknownTasksIsAnsweredAndForgotten(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, MaxTasks: 1000})
	<-s.Ready()
	refs := make([]message.TaskRef, 20_000)
	for i := range refs {
		refs[i] = message.TaskRef{Framework: "f-1", Task: offer.TaskID(fmt.Sprint("lost-", i))}
	}
	m.send(&message.SlaveRegistered{ID: "s-1", Reconcile: refs})
	for range 2 * 1000 { // twice what it may hold; the master asks again for the others
		require.Equal(t, offer.Dropped, take(t, "an answer", m.updates).Status.State)
	}
	alive(m, "afterwards")
	s.stop()
}
