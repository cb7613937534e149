package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	joinPause    = 500 * time.Millisecond // before the second try; doubled up to joinPauseMax
	joinPauseMax = 15 * time.Second
	rejoinEvery  = 15 * time.Second        // for a member that finds itself alone
	leaveTimeout = 1500 * time.Millisecond // for each of two goodbyes, where those who should hear them leave as well
	tcpTimeout   = 3 * time.Second
	secondJoin   = 2 * time.Second // at most, after the first; see join
	repeatEvery  = time.Second
	tagRepeats   = 2
	tagTimeout   = 2 * time.Second
)

// A Gossip is one member. Its methods are safe for concurrent use.
type Gossip struct {
	cfg     Config
	table   *table
	ring    atomic.Pointer[ring]
	quiet   quiet
	started atomic.Bool
	ready   chan struct{}
	joined  chan struct{}
	ended   chan struct{}

	mu      sync.Mutex
	list    *memberlist.Memberlist
	address string

	again  atomic.Int32  // how often the tags are still to be announced
	wake   chan struct{} // has a token when they are new
	metaMu sync.Mutex
	stop   bool
	tags   map[string]string
	meta   []byte
}

// New returns a member, or an error that names the field of cfg that is wrong. No socket or goroutine is opened before Run.
func New(cfg Config) (*Gossip, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	g := &Gossip{cfg: cfg, table: newTable(cfg.Forget), ready: make(chan struct{}), joined: make(chan struct{}), ended: make(chan struct{}),
		wake: make(chan struct{}, 1), tags: maps.Clone(cfg.Tags)}
	if g.tags == nil {
		g.tags = map[string]string{}
	}
	g.meta, _ = encodeMeta(g.tags, false) // Validate has tried, as it has with the keys
	keys, _ := newRing(cfg.keys())
	g.ring.Store(keys)
	return g, nil
}

// Run gossips until ctx ends, then tells the others that it leaves and returns nil. It joins in the background and goes on trying
// while nobody answers. Run may be called once.
func (g *Gossip) Run(ctx context.Context) error {
	if g.started.Swap(true) {
		return errors.New("discovery: Run was called twice")
	}
	defer close(g.ended)
	conf, err := g.config()
	if err != nil {
		return err
	}
	var list *memberlist.Memberlist
	label := newName() // what the library's goroutines are known by
	pprof.Do(ctx, pprof.Labels(goroutineLabel, label), func(context.Context) { list, err = g.create(conf) })
	if err != nil {
		awaitEnd(label)
		return fmt.Errorf("discovery: listen on %s: %w", g.cfg.Bind, err)
	}
	g.mu.Lock()
	g.list, g.address = list, list.LocalNode().Address()
	g.mu.Unlock()
	g.cfg.Logger.Info("gossiping", "name", g.cfg.Name, "address", g.address, "encrypted", len(g.cfg.Key) > 0)
	close(g.ready)
	var repeats sync.WaitGroup
	repeats.Go(func() { g.repeat(ctx, list) })
	g.join(ctx, list)
	repeats.Wait()
	err = g.leave(list)
	awaitEnd(label)
	return err
}

// Ready is closed when the sockets are open.
func (g *Gossip) Ready() <-chan struct{} { return g.ready }

// Joined is closed when the first of Config.Join has answered; without any, at once.
func (g *Gossip) Joined() <-chan struct{} { return g.joined }

// Name tells this member's name.
func (g *Gossip) Name() string { return g.cfg.Name }

// Address tells the gossip address that others can join, host:port; empty before Ready.
func (g *Gossip) Address() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.address
}

// Members lists everyone this member knows, itself included, in the order of names. Those that left or failed are listed for
// Config.Forget.
func (g *Gossip) Members() []Member {
	members, _ := g.table.snapshot(time.Now())
	return members
}

// Watch returns a watcher of all changes from now on.
func (g *Gossip) Watch() *Watcher { return g.table.watch() }

// UpdateTags changes tags of this member, and returns at once: they are announced in the background. Each key of change is set, or removed
// if its value is empty. An error leaves the tags as they were.
func (g *Gossip) UpdateTags(change map[string]string) error {
	g.metaMu.Lock()
	defer g.metaMu.Unlock()
	if g.stop {
		return errors.New("discovery: update tags: the member is leaving")
	}
	tags := maps.Clone(g.tags)
	for k, v := range change {
		if tags[k] = v; v == "" {
			delete(tags, k)
		}
	}
	meta, err := encodeMeta(tags, false)
	if err != nil {
		return err
	}
	g.tags, g.meta = tags, meta
	g.again.Store(1 + tagRepeats)
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return nil
}

// repeat announces changed tags, and a few times more. An announcement reaches whom the others know at that moment, and one who joins in
// that moment would learn of it by the next exchange of whole states only, many seconds later.
func (g *Gossip) repeat(ctx context.Context, list *memberlist.Memberlist) {
	tick := time.NewTicker(repeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-g.wake:
		case <-ctx.Done():
			return
		}
		if g.again.Load() <= 0 {
			continue
		}
		g.again.Add(-1)
		if err := list.UpdateNode(tagTimeout); err != nil {
			g.cfg.Logger.Info("tags are announced late", "err", err) // they are sent with the next exchange of states
		}
	}
}

// leads tells whether this member announces a reign.
func (g *Gossip) leads() bool {
	g.metaMu.Lock()
	defer g.metaMu.Unlock()
	return g.tags[TagLeader] != ""
}

// Lead announces that this master leads with the given reign; reign 0 takes it back. It returns at once, so that
// a program calls it from master.Hooks: with the reign from Elected, with 0 from Deposed.
func (g *Gossip) Lead(reign uint64) error {
	v := ""
	if reign > 0 {
		v = strconv.FormatUint(reign, 10)
	}
	return g.UpdateTags(map[string]string{TagLeader: v})
}

func (g *Gossip) config() (*memberlist.Config, error) {
	host, port, _ := splitHostPort("Bind", g.cfg.Bind) // Validate has tried
	ip, err := resolve(host)
	if err != nil {
		return nil, fmt.Errorf("discovery: Config.Bind is %q: %w", g.cfg.Bind, err)
	}
	c := memberlist.DefaultLANConfig()
	c.TCPTimeout = tcpTimeout
	// A member that is probed when it dies is suspected after one interval, and given up when the suspicion is confirmed and 3*log10(n)
	// intervals have passed: with 100 members within 8 s of its death, with 3 within 4 s. A member that stands still for as long as that
	// is given up too, and is back as soon as it hears of it.
	c.ProbeInterval, c.ProbeTimeout, c.SuspicionMult = 800*time.Millisecond, 400*time.Millisecond, 3
	c.GossipInterval = 100 * time.Millisecond
	c.EnableCompression = false // it costs more than all the rest, and a packet is sent as one either way
	c.UDPBufferSize -= labelOverhead + len(g.cfg.Cluster) + sealOverhead
	c.Name = g.cfg.Name
	c.BindAddr, c.BindPort, c.AdvertisePort = ip.String(), port, port
	if g.cfg.Advertise != "" {
		host, port, _ := splitHostPort("Advertise", g.cfg.Advertise)
		ip, err := resolve(host)
		if err != nil {
			return nil, fmt.Errorf("discovery: Config.Advertise is %q: %w", g.cfg.Advertise, err)
		}
		c.AdvertiseAddr, c.AdvertisePort = ip.String(), port
	}
	c.RequireNodeNames = false // an address to join does not say whose it is
	c.Delegate, c.Events, c.Conflict, c.Alive = delegate{g}, events{g}, conflicts{g}, crowd{g}
	c.Logger = log.New(lineLogger{g.cfg.Logger, &g.quiet}, "", 0)
	return c, nil
}

// create opens the sockets and starts the library.
func (g *Gossip) create(conf *memberlist.Config) (*memberlist.Memberlist, error) {
	t, err := newTransport(conf.BindAddr, conf.BindPort, g.cfg.Cluster, &g.ring, g.cfg.Logger, &g.quiet, conf.Logger)
	if err != nil {
		return nil, err
	}
	conf.Transport, conf.BindPort = t, t.inner.GetAutoBindPort()
	list, err := memberlist.Create(conf)
	if err != nil {
		return nil, errors.Join(err, t.Shutdown())
	}
	return list, nil
}

func resolve(host string) (net.IP, error) {
	if host == "" {
		return net.IPv4zero, nil
	}
	a, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return nil, err
	}
	return a.IP, nil
}

// join tries until somebody answers, and again whenever this member is alone: after a long partition the others have given it up. Soon
// after the first time it exchanges states once more: of those that join in the same moment some miss what is gossiped of the others.
func (g *Gossip) join(ctx context.Context, list *memberlist.Memberlist) {
	if len(g.cfg.Join) == 0 {
		close(g.joined)
		<-ctx.Done()
		return
	}
	first, second, pause := true, false, joinPause
	for {
		wait := rejoinEvery
		if first || second || list.NumMembers() < 2 {
			n, err := g.tryJoin(ctx, list)
			switch {
			case ctx.Err() != nil:
				return
			case n > 0 && first:
				first, second = false, true
				wait = secondJoin/2 + rand.N(secondJoin/2)
				close(g.joined)
			case n > 0:
				second = false
			default:
				g.cfg.Logger.Warn("nobody to join answers: is it running, with the same cluster name and key?",
					"join", g.cfg.Join, "cluster", g.cfg.Cluster, "err", err)
				wait = pause/2 + rand.N(pause)
				pause = min(2*pause, joinPauseMax)
			}
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// tryJoin asks one address after the other, so that ctx need not wait for all of them.
func (g *Gossip) tryJoin(ctx context.Context, list *memberlist.Memberlist) (joined int, err error) {
	for _, a := range g.cfg.Join {
		if ctx.Err() != nil {
			break
		}
		n, joinErr := list.Join([]string{a})
		joined += n
		err = errors.Join(err, joinErr)
	}
	return joined, err
}

// leave says goodbye, so that the others need not find out, and closes everything.
func (g *Gossip) leave(list *memberlist.Memberlist) error {
	g.metaMu.Lock()
	g.stop = true
	g.meta, _ = encodeMeta(g.tags, true)
	g.metaMu.Unlock()
	if err := list.UpdateNode(leaveTimeout); err != nil {
		g.cfg.Logger.Info("leave", "err", err)
	}
	if err := list.Leave(leaveTimeout); err != nil {
		g.cfg.Logger.Info("leave", "err", err)
	}
	if err := list.Shutdown(); err != nil {
		return fmt.Errorf("discovery: close: %w", err)
	}
	return nil
}

// A delegate hands the library this member's tags. Nothing else is gossiped.
type delegate struct{ g *Gossip }

func (d delegate) NodeMeta(limit int) []byte {
	d.g.metaMu.Lock()
	defer d.g.metaMu.Unlock()
	if len(d.g.meta) > limit {
		return nil
	}
	return bytes.Clone(d.g.meta)
}
func (delegate) NotifyMsg([]byte)                {}
func (delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (delegate) LocalState(bool) []byte          { return nil }
func (delegate) MergeRemoteState([]byte, bool)   {}

type events struct{ g *Gossip }

func (e events) NotifyJoin(n *memberlist.Node) {
	e.NotifyUpdate(n)
	if e.g.leads() { // the one piece of news that everybody waits for
		e.g.again.CompareAndSwap(0, 1)
	}
}

func (e events) NotifyUpdate(n *memberlist.Node) {
	e.g.table.put(time.Now(), n.Name, n.Address(), n.Meta)
}

func (e events) NotifyLeave(n *memberlist.Node) { e.g.table.gone(time.Now(), n.Name) }

// A crowd refuses more members than a cluster can have: whoever holds the key can make them up.
type crowd struct{ g *Gossip }

func (c crowd) NotifyAlive(n *memberlist.Node) error {
	if n.Name == c.g.cfg.Name || c.g.table.hasRoom(n.Name) {
		return nil
	}
	return fmt.Errorf("there are %d members, no more are allowed", maxMembers)
}

type conflicts struct{ g *Gossip }

func (c conflicts) NotifyConflict(has, other *memberlist.Node) {
	if ok, _ := c.g.quiet.allow("conflict", time.Now()); !ok {
		return
	}
	c.g.cfg.Logger.Error("two members have the same name", "name", has.Name, "at", has.Address(), "and", other.Address())
}

// A lineLogger turns the library's lines into records; it puts the level in brackets. Warnings that begin alike are given now and then.
type lineLogger struct {
	l     *slog.Logger
	quiet *quiet
}

const alike = 40 // bytes

func (w lineLogger) Write(p []byte) (int, error) {
	text, level := strings.TrimSpace(string(p)), slog.LevelDebug
	for prefix, l := range map[string]slog.Level{"[DEBUG] ": slog.LevelDebug, "[INFO] ": slog.LevelInfo, "[WARN] ": slog.LevelWarn,
		"[ERR] ": slog.LevelWarn, "[ERROR] ": slog.LevelWarn} {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			text, level = rest, l
			break
		}
	}
	if level == slog.LevelWarn {
		if ok, _ := w.quiet.allow(text[:min(alike, len(text))], time.Now()); !ok {
			level = slog.LevelDebug
		}
	}
	w.l.Log(context.Background(), level, text)
	return len(p), nil
}
