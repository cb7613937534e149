package zookeeper

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
)

// refused runs a master that must end by itself, and checks its one line.
func refused(t *testing.T, n int, cfg Config, is error, says ...string) {
	t.Helper()
	m := startMember(t, n, cfg)
	err := m.end()
	m.ended <- err
	require.ErrorIs(t, err, is)
	for _, s := range says {
		require.ErrorContains(t, err, s)
	}
	require.NotContains(t, err.Error(), "\n")
	require.NotContains(t, err.Error(), "secret")
	require.NotContains(t, err.Error(), "guess")
	require.Empty(t, m.ledger.Entries())
}

func TestWhatIsNotThisClustersIsRefused(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	host := servers[0].address
	dir := t.TempDir()
	own := Config{Address: "zk://meros:secret@" + host + "/prod/a", Cluster: "a", SessionTimeout: 3 * time.Second, Dir: dir}
	m := startMember(t, 0, own)
	require.NoError(t, propose(t, m.next(), "a"))

	t.Run("the same id twice", func(t *testing.T) {
		refused(t, 1, Config{Address: own.Address, Cluster: "a", NodeID: m.elector.cfg.NodeID, SessionTimeout: 3 * time.Second}, ErrDuplicateID,
			m.elector.cfg.NodeID, "127.0.0.1:5050", "127.0.0.1:5051")
	})
	t.Run("a folder that is in use", func(t *testing.T) {
		refused(t, 0, own, election.ErrFolderInUse)
	})
	require.Equal(t, []string{"a"}, m.ledger.Entries())
	require.NoError(t, m.stop())
	before := tree(t, servers[0], "meros:secret")
	t.Run("without credentials", func(t *testing.T) {
		refused(t, 1, Config{Address: "zk://" + host + "/prod/a", Cluster: "a"}, ErrNotAllowed, "without credentials", "/prod/a")
	})
	t.Run("with a wrong password", func(t *testing.T) {
		refused(t, 1, Config{Address: "zk://meros:guess@" + host + "/prod/a", Cluster: "a"}, ErrNotAllowed, `as user "meros"`)
	})
	t.Run("another cluster", func(t *testing.T) {
		refused(t, 1, Config{Address: own.Address, Cluster: "b"}, ErrForeign, `belongs to the cluster "a", this master to "b"`)
	})
	t.Run("a folder of another registry", func(t *testing.T) {
		refused(t, 0, Config{Address: "zk://" + host + "/prod/b", Cluster: "a", Dir: dir}, ErrForeign, "is empty, and this master knows the registry")
	})
	require.Equal(t, before, tree(t, servers[0], "meros:secret"), "one that was refused has changed something")
	c := client(t, servers[0], "")
	t.Run("a path of Mesos", func(t *testing.T) {
		_, err := c.Create("/mesos", nil, 0, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
		_, err = c.Create("/mesos/json.info_", []byte("{}"), zk.FlagSequence, zk.WorldACL(zk.PermAll))
		require.NoError(t, err)
		before := tree(t, servers[0], "meros:secret")
		refused(t, 1, Config{Address: "zk://" + host + "/mesos"}, ErrForeign, "is used by something else, it has json.info_0000000000")
		require.Equal(t, before, tree(t, servers[0], "meros:secret"))
	})
	t.Run("a damaged entry", func(t *testing.T) {
		m := startMember(t, 0, Config{Address: "zk://" + host + "/damaged"})
		require.NoError(t, propose(t, m.next(), "a"))
		require.NoError(t, m.stop())
		_, err := c.Set("/damaged/meros/log/"+entryName(2), []byte("nonsense"), -1)
		require.NoError(t, err)
		broken := startMember(t, 0, Config{Address: "zk://" + host + "/damaged"})
		err = broken.end()
		broken.ended <- err
		require.ErrorIs(t, err, ErrDamaged)
		require.ErrorContains(t, err, "/damaged/meros/log/0000000000000002")
	})
	t.Run("an entry of an unknown kind", func(t *testing.T) {
		m := startMember(t, 0, Config{Address: "zk://" + host + "/kind"})
		m.next()
		_, err := c.Create("/kind/meros/log/"+entryName(1), nil, 0, zk.WorldACL(zk.PermAll))
		require.ErrorIs(t, err, zk.ErrNodeExists)
		require.NoError(t, m.stop())
		broken := &stubborn{}
		e, err := New(Config{Address: "zk://" + host + "/kind"})
		require.NoError(t, err)
		err = e.Run(t.Context(), election.Env{StateMachine: broken, Opening: func() []byte { return []byte("open") }, Advertise: "127.0.0.1:5050"})
		require.ErrorContains(t, err, "zookeeper: apply entry 1: unknown kind")
	})
}

// What answers but is no ZooKeeper server, and what does not answer, is tried again until the master is stopped.
func TestAnEnsembleThatDoesNotAnswerIsWaitedFor(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 100)
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer web.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	for name, address := range map[string]string{"a web server": web.Listener.Addr().String(), "silence": ln.Addr().String(), "nobody": "127.0.0.1:1"} {
		t.Run(name, func(t *testing.T) {
			m := startMember(t, 0, Config{Address: "zk://" + address + "/a", SessionTimeout: 300 * time.Millisecond, Dial: func(ctx context.Context, a string) (net.Conn, error) {
				select {
				case asked <- struct{}{}:
				default:
				}
				var d net.Dialer
				return d.DialContext(ctx, "tcp", a)
			}})
			for range 3 {
				<-asked
			}
			d, err := NewDetector(DetectorConfig{Address: "zk://" + address + "/a"})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err = d.Detect(ctx, election.Peer{})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NoError(t, d.Close())
			_, err = d.Detect(t.Context(), election.Peer{})
			require.ErrorIs(t, err, net.ErrClosed)
			require.NoError(t, m.stop())
		})
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	for says, cfg := range map[string]Config{
		`Config.Cluster is "a b"`:                       {Address: "zk://h/p", Cluster: "a b"},
		`Config.NodeID is "a/b"`:                        {Address: "zk://h/p", NodeID: "a/b"},
		"Config.SessionTimeout is 1ms":                  {Address: "zk://h/p", SessionTimeout: time.Millisecond},
		"Config.SnapshotEvery is -1":                    {Address: "zk://h/p", SnapshotEvery: -1},
		"Config.MaxSnapshot is 1125899906842624":        {Address: "zk://h/p", MaxSnapshot: 1 << 50},
		"Config.Address: zookeeper: address \"\" must":  {},
		"Config.Cluster has 129 bytes, allowed is 1 to": {Address: "zk://h/p", Cluster: strings.Repeat("x", 129)},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, says)
	}
	_, err := NewDetector(DetectorConfig{Address: "zk://h/p", SessionTimeout: time.Hour})
	require.ErrorContains(t, err, "DetectorConfig.SessionTimeout is 1h0m0s")
}
