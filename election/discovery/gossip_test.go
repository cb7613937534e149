package discovery

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = []byte("0123456789abcdef0123456789abcdef")

const (
	longest = 30 * time.Second
	pause   = time.Millisecond
)

type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *logText) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *logText) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

type running struct {
	*Gossip
	t      *testing.T
	cancel context.CancelFunc
	ended  chan error
	log    *logText
}

func start(t *testing.T, name string, edit ...func(*Config)) *running {
	t.Helper()
	log := &logText{}
	cfg := Config{Name: name, Bind: "127.0.0.1:0", Key: key, Cluster: "test", Tags: map[string]string{TagRole: RoleMaster, TagAddress: name + ":5050"},
		Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	for _, f := range edit {
		f(&cfg)
	}
	g, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Gossip: g, t: t, cancel: cancel, ended: make(chan error, 1), log: log}
	go func() { r.ended <- g.Run(ctx) }()
	t.Cleanup(r.stop)
	select {
	case <-g.Ready():
	case err := <-r.ended:
		require.NoError(t, err)
	}
	return r
}

func (r *running) stop() {
	r.cancel()
	require.NoError(r.t, <-r.ended)
	r.ended <- nil
}

func joins(addresses ...string) func(*Config) {
	return func(c *Config) { c.Join = addresses }
}

// eventually waits for a change of g's table until cond holds.
func (r *running) eventually(cond func([]Member) bool) {
	r.t.Helper()
	limit := time.After(longest)
	for {
		members, changed := r.table.snapshot(time.Now())
		if cond(members) {
			return
		}
		select {
		case <-changed:
		case <-limit:
			require.Fail(r.t, "did not come about", "%+v\n%s", members, r.log)
		}
	}
}

func states(members []Member) string {
	var out []string
	for _, m := range members {
		out = append(out, fmt.Sprintf("%s %s %s", m.Name, m.State, m.Tags[TagRole]))
	}
	return strings.Join(out, ", ")
}

func is(want string) func([]Member) bool {
	return func(m []Member) bool { return states(m) == want }
}

func TestMembersFindEachOtherAndSayWhenTheyLeave(t *testing.T) {
	a := start(t, "a")
	<-a.Joined()
	b := start(t, "b", joins("127.0.0.1:1", a.Address()), func(c *Config) { c.Tags = map[string]string{TagRole: "slave"} })
	<-b.Joined()
	db := start(t, "db", joins(b.Address()), func(c *Config) { c.Tags = map[string]string{TagRole: "database", "shard": "7"} })
	all := "a alive master, b alive slave, db alive database"
	for _, m := range []*running{a, b, db} {
		m.eventually(is(all))
	}
	require.Equal(t, map[string]string{TagRole: "database", "shard": "7"}, a.Members()[2].Tags)
	require.Equal(t, db.Address(), a.Members()[2].Address)

	require.NoError(t, db.UpdateTags(map[string]string{"shard": "", "size": "9"}))
	a.eventually(func(m []Member) bool { return m[2].Tags["size"] == "9" && m[2].Tags["shard"] == "" })
	db.stop()
	a.eventually(is("a alive master, b alive slave, db left database"))
	require.Error(t, db.UpdateTags(map[string]string{"x": "y"}))
	require.Error(t, a.Run(context.Background()))
}

// A program that only knows the gossip library joins and is listed, without tags; when it dies it is found out.
func TestAPlainMemberIsListedAndItsDeathIsSeen(t *testing.T) {
	for _, k := range [][]byte{key, nil} {
		plainDies(t, k)
	}
}

func plainDies(t *testing.T, k []byte) {
	a := start(t, "a", func(c *Config) { c.Key = k })
	var news atomic.Bool
	plain := plainMember(t, "plain", k, func(c *memberlist.Config) { c.Events = hears{"a", "news", &news} })
	_, err := plain.Join([]string{a.Address()})
	require.NoError(t, err)
	a.eventually(is("a alive master, plain alive "))
	require.NoError(t, a.UpdateTags(map[string]string{"news": "yes"}))
	require.Eventually(t, news.Load, longest, pause)
	require.NotContains(t, a.log.String(), "gossip refused")
	require.NoError(t, plain.Shutdown()) // without a word
	a.eventually(is("a alive master, plain failed "))
}

// hears waits for a word in the tags of a member. The library hands it over under its lock; what Members returns it goes on writing to.
type hears struct {
	name, word string
	heard      *atomic.Bool
}

func (h hears) NotifyJoin(n *memberlist.Node) { h.NotifyUpdate(n) }
func (h hears) NotifyLeave(*memberlist.Node)  {}
func (h hears) NotifyUpdate(n *memberlist.Node) {
	if n.Name == h.name && bytes.Contains(n.Meta, []byte(h.word)) {
		h.heard.Store(true)
	}
}

// Run returns when its last goroutine has ended, also one that waits for a member that does not answer.
func TestNothingIsLeftBehind(t *testing.T) {
	for i := range 3 {
		g := start(t, "g")
		dead := plainMember(t, fmt.Sprint("x", i), key)
		_, err := dead.Join([]string{g.Address()})
		require.NoError(t, err)
		g.eventually(is("g alive master, " + dead.LocalNode().Name + " alive "))
		require.NoError(t, dead.Shutdown()) // without a word
		for !strings.Contains(g.log.String(), "Failed UDP ping") && !strings.Contains(g.log.String(), "Suspect") {
			<-time.After(10 * time.Millisecond)
		}
		g.stop()
		var stacks bytes.Buffer
		require.NoError(t, pprof.Lookup("goroutine").WriteTo(&stacks, 1))
		require.NotContains(t, stacks.String(), goroutineLabel+`":"g-`)
	}
}

// plainMember is a program that only knows the gossip library.
func plainMember(t *testing.T, name string, k []byte, more ...func(*memberlist.Config)) *memberlist.Memberlist {
	c := memberlist.DefaultLocalConfig()
	c.Name, c.Label, c.SecretKey, c.BindAddr, c.BindPort, c.AdvertisePort = name, "test", k, "127.0.0.1", 0, 0
	c.Logger = log.New(io.Discard, "", 0)
	for _, m := range more {
		m(c)
	}
	var plain *memberlist.Memberlist
	var err error
	pprof.Do(context.Background(), pprof.Labels(goroutineLabel, name), func(context.Context) { plain, err = memberlist.Create(c) })
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = plain.Shutdown()
		awaitEnd(name)
	})
	return plain
}

func TestWrongKeyAndWrongClusterAreRefusedAndSaidSo(t *testing.T) {
	a := start(t, "a")
	for name, edit := range map[string]func(*Config){
		"key":     func(c *Config) { c.Key = bytes.Repeat([]byte("x"), 16) },
		"none":    func(c *Config) { c.Key = nil },
		"cluster": func(c *Config) { c.Cluster = "other" },
	} {
		b := start(t, name, joins(a.Address()), edit)
		require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "same cluster name and key") }, longest, pause)
		require.Len(t, b.Members(), 1)
		b.stop()
	}
	require.Equal(t, "a alive master", states(a.Members()))
}

func TestTheDetectorFindsTheHighestReign(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	a := start(t, "a")
	b := start(t, "b", joins(a.Address()))
	slave := start(t, "s", joins(a.Address()), func(c *Config) { c.Tags = map[string]string{TagRole: "slave", TagAddress: "s:1", TagLeader: "99"} })
	d := slave.Detector()
	found := make(chan election.Peer, 1)
	go func() {
		p, _ := d.Detect(ctx, election.Peer{})
		found <- p
	}()
	require.NoError(t, a.Lead(3))
	first := <-found
	require.Equal(t, election.Peer{ID: "a", Address: "a:5050"}, first)
	require.NoError(t, b.Lead(4)) // a has not noticed yet
	second, err := d.Detect(ctx, first)
	require.NoError(t, err)
	require.Equal(t, election.Peer{ID: "b", Address: "b:5050"}, second)
	require.NoError(t, a.Lead(0))
	short, done := context.WithTimeout(ctx, 50*time.Millisecond)
	defer done()
	_, err = d.Detect(short, second)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	b.stop() // nobody leads: the next to lead is the news
	slave.eventually(func(m []Member) bool { return m[1].State == Left })
	require.NoError(t, a.Lead(5))
	third, err := d.Detect(ctx, second)
	require.NoError(t, err)
	require.Equal(t, first, third)
}

func TestAWrongFieldIsNamed(t *testing.T) {
	for want, c := range map[string]Config{
		"Config.Key has 5 bytes, allowed are 16, 24 and 32": {Key: []byte("short")},
		"accepted on loopback only":                         {Bind: "0.0.0.0:7946"},
		"set a key":                                         {Bind: ":7946"},
		"tags have 518 bytes, at most 512":                  {Tags: map[string]string{"a": strings.Repeat("x", 255), "b": strings.Repeat("x", 255)}},
		"its value 256":                                     {Tags: map[string]string{"a": strings.Repeat("x", 256)}},
		"its key has 0 bytes":                               {Tags: map[string]string{"": "x"}},
		"is not UTF-8":                                      {Tags: map[string]string{"a": "\xff"}},
		"Config.Name is \"a b\"":                            {Name: "a b"},
		"Config.Cluster has 300 bytes":                      {Cluster: strings.Repeat("x", 300)},
		"Config.Bind is \"x\"":                              {Bind: "x"},
		"Config.Bind is \"127.0.0.1:70000\"":                {Bind: "127.0.0.1:70000"},
		"Config.Advertise is \":1\"":                        {Advertise: ":1"},
		"Config.Join[1] is \"b\"":                           {Join: []string{"a:1", "b"}},
		"Config.Join[0] is \"a:0\"":                         {Join: []string{"a:0"}},
		"Config.Join has 65":                                {Join: make([]string, 65)},
		"Config.Forget is -1s":                              {Forget: -time.Second},
	} {
		_, err := New(c)
		require.ErrorContains(t, err, want)
	}
	for _, c := range []Config{{}, {Bind: "0.0.0.0:7946", Key: key[:16]}, {Bind: "0.0.0.0:7946", Insecure: true}, {Bind: "[::1]:7946"}} {
		_, err := New(c)
		require.NoError(t, err)
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	a := start(t, "a")
	g, err := New(Config{Bind: a.Address(), Key: key})
	require.NoError(t, err)
	require.ErrorContains(t, g.Run(context.Background()), "listen on "+a.Address())
}
