package registry

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// log applies commands one by one, each in an entry of its own under the current reign.
type log struct {
	t       testing.TB
	s       *State
	entries []Entry
	n       uint64
}

func newLog(t testing.TB) *log {
	l := &log{t: t, s: New()}
	l.do(&Open{Cluster: "test", Master: "m1", Level: 1})
	return l
}

func (l *log) key() (k Key) {
	l.n++
	binary.BigEndian.PutUint64(k[:], l.n)
	return k
}

func (l *log) do(op Op) Result {
	e := Entry{Reign: l.s.View().Reign(), Commands: []Command{{Key: l.key(), Op: op}}}
	l.entries = append(l.entries, e)
	return l.s.Apply(e)[0]
}

func (l *log) ok(op Op) Result {
	l.t.Helper()
	r := l.do(op)
	require.Nil(l.t, r.Err, "%T: %v", op, r.Err)
	return r
}

func (l *log) refused(reason offer.Reason, op Op) {
	l.t.Helper()
	r := l.do(op)
	require.NotNil(l.t, r.Err, "%T was not refused", op)
	require.Equal(l.t, reason, r.Err.Reason, "%v", r.Err)
}

func host(name string) offer.Slave {
	return offer.Slave{Hostname: name, Address: name + ":5051", Resources: resource.Must("cpus:4;mem:1024")}
}

func with(s offer.Slave, id offer.SlaveID) offer.Slave {
	s.ID = id
	return s
}

var at = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func TestOpenCountsReignsAndTheFirstClusterWins(t *testing.T) {
	l := newLog(t)
	require.EqualValues(t, 1, l.s.View().Reign())
	r := l.ok(&Open{Cluster: "other", Master: "m2", Level: 2})
	require.EqualValues(t, 2, r.Reign)
	require.EqualValues(t, "test", r.Cluster)
	require.Equal(t, Header{Cluster: "test", Reign: 2, Master: "m2", Level: 2, Commands: 2}, l.s.View().Header())
}

func TestAnEntryOfAnotherReignIsIgnored(t *testing.T) {
	l := newLog(t)
	l.ok(&Open{Master: "m2"})
	key := Key{9}
	for _, reign := range []uint64{0, 1, 3} {
		got := l.s.Apply(Entry{Reign: reign, Commands: []Command{{key, &AdmitSlave{host("a")}}, {Key{8}, &AdmitSlave{host("b")}}}})
		require.Len(t, got, 2)
		for _, r := range got {
			require.Equal(t, offer.ReasonOldReign, r.Err.Reason)
		}
	}
	require.Zero(t, l.s.View().SlaveCount())
	// Its key is not used up.
	require.Nil(t, l.s.Apply(Entry{Reign: 2, Commands: []Command{{key, &AdmitSlave{host("a")}}}})[0].Err)
}

func TestCommandsAfterOpenBelongToItsReign(t *testing.T) {
	s := New()
	got := s.Apply(Entry{Commands: []Command{{Key{1}, &Open{Cluster: "c", Master: "m"}}, {Key{2}, &AdmitSlave{host("a")}}}})
	require.Nil(t, got[1].Err)
	// A late copy of the same opening does not reign again.
	s.Apply(Entry{Commands: []Command{{Key{3}, &Open{Master: "n"}}}})
	got = s.Apply(Entry{Commands: []Command{{Key{1}, &Open{Cluster: "c", Master: "m"}}, {Key{4}, &AdmitSlave{host("b")}}}})
	require.EqualValues(t, 1, got[0].Reign)
	require.Equal(t, offer.ReasonOldReign, got[1].Err.Reason)
	require.EqualValues(t, 2, s.View().Reign())
}

func TestTheSameKeyGetsTheSameResult(t *testing.T) {
	l := newLog(t)
	e := Entry{Reign: 1, Commands: []Command{{Key{7}, &AdmitSlave{host("a")}}}}
	first, second := l.s.Apply(e), l.s.Apply(e)
	require.Equal(t, first, second)
	require.EqualValues(t, "s-1", second[0].Slave)
	require.Equal(t, 1, l.s.View().SlaveCount())
	// Across reigns too: an admission whose answer was lost with its leader is not repeated.
	l.ok(&Open{Master: "m2"})
	e.Reign = 2
	require.EqualValues(t, "s-1", l.s.Apply(e)[0].Slave)
	require.Equal(t, offer.ReasonInvalidField, l.s.Apply(Entry{Reign: 2, Commands: []Command{{Key{}, &AdmitSlave{host("b")}}}})[0].Err.Reason)
}

func TestKeysAreBounded(t *testing.T) {
	l := newLog(t)
	first := Entry{Reign: 1, Commands: []Command{{Key{7}, &AdmitSlave{host("a")}}}}
	l.s.Apply(first)
	for range MaxKeys {
		l.ok(&UpdateSlave{with(host("a"), "s-1")})
	}
	require.Len(t, l.s.keys, MaxKeys)
	require.EqualValues(t, "s-2", l.s.Apply(first)[0].Slave, "forgotten keys count as new")
}

// TestAConfirmationLeavesNoTrace: it is refused in another reign than its own, and otherwise replicas cannot tell that it ever was.
func TestAConfirmationLeavesNoTrace(t *testing.T) {
	l := newLog(t)
	l.ok(&AdmitSlave{host("a")})
	before, keys := l.s.View().Header(), len(l.s.keys)
	confirm := Entry{Reign: 1, Commands: []Command{{Key{7}, &Confirm{}}, {Key{7}, &Confirm{}}}}
	require.Equal(t, []Result{{}, {}}, l.s.Apply(confirm))
	require.Equal(t, before, l.s.View().Header())
	require.Len(t, l.s.keys, keys)
	l.ok(&Open{Master: "m2"})
	require.Equal(t, offer.ReasonOldReign, l.s.Apply(confirm)[0].Err.Reason)
	require.Equal(t, offer.ReasonInvalidField, l.s.Apply(Entry{Reign: 2, Commands: []Command{{Key{}, &Confirm{}}}})[0].Err.Reason)
}

func TestSlaves(t *testing.T) {
	l := newLog(t)
	require.EqualValues(t, "s-1", l.ok(&AdmitSlave{host("a")}).Slave)
	require.EqualValues(t, "s-2", l.ok(&AdmitSlave{host("b")}).Slave)
	state := func(id offer.SlaveID) SlaveState {
		r, ok := l.s.View().Slave(id)
		require.True(t, ok)
		return r.State
	}
	l.ok(&MarkUnreachable{"s-1", at})
	require.Equal(t, SlaveUnreachable, state("s-1"))
	l.ok(&MarkUnreachable{"s-1", at.Add(time.Hour)})
	r, _ := l.s.View().Slave("s-1")
	require.Equal(t, at, r.Since, "the first time counts")
	l.ok(&MarkReachable{with(host("a2"), "s-1")})
	r, _ = l.s.View().Slave("s-1")
	require.Equal(t, SlaveAdmitted, r.State)
	require.Equal(t, "a2", r.Slave.Hostname)
	require.True(t, r.Since.IsZero())

	l.ok(&DrainSlave{"s-1", offer.Drain{MaxGrace: time.Second}})
	l.ok(&SlaveDrained{"s-1"})
	r, _ = l.s.View().Slave("s-1")
	require.True(t, r.Drained && r.Inactive)
	l.ok(&ActivateSlave{"s-1", true})
	r, _ = l.s.View().Slave("s-1")
	require.True(t, !r.Drained && !r.Inactive && r.Drain == nil)
	l.refused(offer.ReasonInvalidField, &SlaveDrained{"s-1"})

	// Gone is for ever, pruned or not (S5).
	l.ok(&MarkGone{"s-1", at})
	for range 2 {
		require.True(t, l.s.View().Gone("s-1"))
		l.refused(offer.ReasonSlaveGone, &MarkReachable{with(host("a"), "s-1")})
		l.refused(offer.ReasonSlaveGone, &UpdateSlave{with(host("a"), "s-1")})
		l.refused(offer.ReasonSlaveGone, &MarkUnreachable{"s-1", at})
		l.ok(&PruneSlaves{[]offer.SlaveID{"s-1", "s-2", "s-99"}})
	}
	_, known := l.s.View().Slave("s-2")
	require.True(t, known, "an admitted slave is not pruned")

	// Unreachable and pruned, or unregistered: it may come back under its id.
	l.ok(&MarkUnreachable{"s-2", at})
	l.ok(&PruneSlaves{[]offer.SlaveID{"s-2"}})
	l.ok(&MarkReachable{with(host("b"), "s-2")})
	l.ok(&RemoveSlave{"s-2"})
	l.ok(&RemoveSlave{"s-2"})
	l.ok(&MarkReachable{with(host("b"), "s-2")})
	require.EqualValues(t, "s-3", l.ok(&AdmitSlave{host("c")}).Slave, "ids never repeat (S4)")

	for _, id := range []offer.SlaveID{"", "s-", "s-0", "s-01", "s-4", "s--1", "f-1", "s-99999999999999999999", "../s-1"} {
		l.refused(offer.ReasonUnknownID, &MarkUnreachable{id, at})
		l.refused(offer.ReasonUnknownID, &MarkReachable{with(host("x"), id)})
		l.refused(offer.ReasonUnknownID, &MarkGone{id, at})
	}
}

func TestFrameworks(t *testing.T) {
	l := newLog(t)
	f := offer.Framework{Name: "x", Principal: "p", FailoverTimeout: time.Minute}
	require.EqualValues(t, "f-1", l.ok(&AdmitFramework{f}).Framework)
	r, _ := l.s.View().Framework("f-1")
	require.Equal(t, []string{"*"}, r.Framework.Roles)
	require.True(t, r.Connected)
	l.ok(&CountDown{[]Remaining{{"f-1", 10 * time.Second}, {"f-7", time.Second}}})
	r, _ = l.s.View().Framework("f-1")
	require.Equal(t, 10*time.Second, r.Remaining)
	require.False(t, r.Connected)
	l.ok(&CountDown{[]Remaining{{"f-1", -1}}})
	r, _ = l.s.View().Framework("f-1")
	require.True(t, r.Connected)

	f.ID, f.Roles, f.Name = "f-1", []string{"a", "b"}, "y"
	l.ok(&UpdateFramework{f})
	f.Principal = "q"
	l.refused(offer.ReasonPrincipalChanged, &UpdateFramework{f})
	l.ok(&RemoveFramework{"f-1"})
	l.ok(&RemoveFramework{"f-1"})
	require.True(t, l.s.View().Removed("f-1"))
	require.False(t, l.s.View().Removed("f-2"))
	f.Principal = "p"
	l.refused(offer.ReasonFrameworkCompleted, &UpdateFramework{f})
	l.refused(offer.ReasonUnknownID, &RemoveFramework{"f-2"})
	require.EqualValues(t, "f-2", l.ok(&AdmitFramework{offer.Framework{}}).Framework)
}

func TestRoles(t *testing.T) {
	l := newLog(t)
	weight := resource.Units(2)
	quota, limit, none := resource.Must("cpus:2").Quantities(), resource.Must("cpus:4").Quantities(), resource.Quantities{}
	l.ok(&SetRole{Role: "ops", Weight: &weight})
	l.ok(&SetRole{Role: "ops", Guarantee: &quota, Limit: &limit})
	r, ok := l.s.View().Role("ops")
	require.True(t, ok)
	require.Equal(t, &RoleRecord{"ops", weight, quota, limit}, r)
	small := resource.Must("cpus:1").Quantities()
	l.refused(offer.ReasonInvalidField, &SetRole{Role: "ops", Limit: &small})
	one := resource.Units(1)
	l.ok(&SetRole{Role: "ops", Weight: &one, Guarantee: &none, Limit: &none})
	_, ok = l.s.View().Role("ops")
	require.False(t, ok, "a role with nothing of its own has no record")
	zero := resource.Scalar(0)
	l.refused(offer.ReasonInvalidField, &SetRole{Role: "ops", Weight: &zero})
	l.refused(offer.ReasonInvalidField, &SetRole{Role: "a//b", Weight: &one})
}

func TestPoisonIsRefusedAndChangesNothing(t *testing.T) {
	l := newLog(t)
	l.ok(&AdmitSlave{host("a")})
	l.ok(&AdmitFramework{offer.Framework{}})
	before := digest(l.s)
	bad := host(strings.Repeat("h", 300))
	unsorted := host("a")
	unsorted.Resources = resource.Resources{resource.NewScalar("mem", 1), resource.NewScalar("cpus", 1)}
	fat := host("a")
	for i := range 1000 {
		fat.Attributes = append(fat.Attributes, offer.Attribute{Name: fmt.Sprint("n", i), Text: strings.Repeat("t", 100)})
	}
	two := host("a")
	scalar := resource.Scalar(1)
	two.Attributes = []offer.Attribute{{Name: "n", Text: "t", Scalar: &scalar}}
	for _, s := range []offer.Slave{bad, unsorted, fat, two, {Hostname: "a\n"}, {Hostname: "\xff"}} {
		require.NotNil(t, l.do(&AdmitSlave{s}).Err)
		require.NotNil(t, l.do(&UpdateSlave{with(s, "s-1")}).Err)
	}
	for _, f := range []offer.Framework{{Roles: []string{"a", "a"}}, {Roles: []string{"../x"}}, {FailoverTimeout: -1}, {User: "a\x00"},
		{MinAllocatable: map[string][]resource.Quantities{"other": nil}}, {Labels: make([]resource.Label, 5000)}, {Name: strings.Repeat("n", 5000)}} {
		require.NotNil(t, l.do(&AdmitFramework{f}).Err)
	}
	l.refused(offer.ReasonTooLarge, &PruneSlaves{make([]offer.SlaveID, MaxPrune+1)})
	l.refused(offer.ReasonTooLarge, &CountDown{make([]Remaining, MaxCountDown+1)})
	require.Equal(t, offer.ReasonUnsupported, l.do(nil).Err.Reason)
	got := l.s.Apply(Entry{Reign: 1, Commands: make([]Command, MaxCommands+1)})
	require.Equal(t, offer.ReasonTooLarge, got[MaxCommands].Err.Reason)
	require.Equal(t, before, digest(l.s))
}

// digest prints all that a state holds but for keys and the count of commands.
func digest(s *State) string {
	var b strings.Builder
	for r := range s.View().Export() {
		switch r := r.(type) {
		case *KeyRecord, *Trailer:
		case *Header:
			h := *r
			h.Commands = 0
			b.WriteString(text(&h))
		default:
			b.WriteString(text(r))
		}
	}
	return b.String()
}

// whole prints all that a state holds.
func whole(v *View) string {
	var b strings.Builder
	for r := range v.Export() {
		b.WriteString(text(r))
	}
	return b.String()
}

func text(r Record) string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%d %s\n", r.RecordKind(), b)
}

// without errors, as a stream.
func stream(v *View) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for r := range v.Export() {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// TestSnapshotEqualsReplay is L6: what is restored from a snapshot equals the state, and equals the log applied again; and it goes on alike.
func TestSnapshotEqualsReplay(t *testing.T) {
	l := newLog(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		l.do(randomOp(r.IntN))
	}
	require.NotZero(t, l.s.View().SlaveCount())
	restored, err := Import(stream(l.s.View()))
	require.NoError(t, err)
	replayed := New()
	for _, e := range l.entries {
		replayed.Apply(e)
	}
	require.Equal(t, whole(l.s.View()), whole(restored.View()))
	require.Equal(t, whole(l.s.View()), whole(replayed.View()))
	for range 500 {
		l.do(randomOp(r.IntN))
		e := l.entries[len(l.entries)-1]
		require.Equal(t, restored.Apply(e), replayed.Apply(e))
	}
	require.Equal(t, restored.Apply(l.entries[5]), replayed.Apply(l.entries[5]), "keys are remembered")
	require.Equal(t, whole(l.s.View()), whole(restored.View()))
}

func TestATornSnapshotIsRefused(t *testing.T) {
	l := newLog(t)
	for range 3 {
		l.ok(&AdmitSlave{host("a")})
		l.ok(&AdmitFramework{offer.Framework{}})
	}
	var all []Record
	for r := range l.s.View().Export() {
		all = append(all, r)
	}
	feed := func(list []Record) error {
		_, err := Import(func(yield func(Record, error) bool) {
			for _, r := range list {
				if !yield(r, nil) {
					return
				}
			}
		})
		return err
	}
	require.NoError(t, feed(all))
	for n := range all {
		require.ErrorIs(t, feed(all[:n]), ErrTorn)
		cut := append(append([]Record{}, all[:n]...), all[n+1:]...)
		require.Error(t, feed(cut), "record %d is missing", n)
	}
	require.Error(t, feed(append(all, all[1])))
	require.Error(t, feed(append([]Record{nil}, all...)))
	boom := errors.New("boom")
	_, err := Import(func(yield func(Record, error) bool) { yield(nil, boom) })
	require.ErrorIs(t, err, boom)
}

// TestAViewStaysWhatItWas reads a view in another goroutine while the state moves on.
func TestAViewStaysWhatItWas(t *testing.T) {
	l := newLog(t)
	for range 500 {
		l.ok(&AdmitSlave{host("a")})
	}
	v := l.s.View()
	require.Same(t, v, l.s.View(), "no change, no new view")
	want := whole(v)
	done := make(chan string)
	go func() { done <- whole(v) }()
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		l.do(randomOp(r.IntN))
	}
	require.Equal(t, want, <-done)
	require.Equal(t, want, whole(v))
}

// randomOp makes an op out of few names, so that they meet.
func randomOp(intn func(int) int) Op {
	slave := offer.SlaveID(fmt.Sprintf("s-%d", intn(12)))
	framework := offer.FrameworkID(fmt.Sprintf("f-%d", intn(8)))
	role := [...]string{"a", "a/b", "*", "x//y"}[intn(4)]
	when := at.Add(time.Duration(intn(100)) * time.Minute)
	switch intn(18) {
	case 0:
		return &AdmitSlave{host("h")}
	case 1:
		return &UpdateSlave{with(host("u"), slave)}
	case 2, 3:
		return &MarkUnreachable{slave, when}
	case 4:
		return &MarkReachable{with(host("r"), slave)}
	case 5:
		return &MarkGone{slave, when}
	case 6:
		return &RemoveSlave{slave}
	case 7:
		return &DrainSlave{slave, offer.Drain{MaxGrace: time.Second, MarkGone: intn(2) == 0}}
	case 8:
		return &SlaveDrained{slave}
	case 9:
		return &ActivateSlave{slave, intn(2) == 0}
	case 10:
		return &AdmitFramework{offer.Framework{Name: "f", Roles: []string{role}, FailoverTimeout: time.Duration(intn(5)) * time.Second}}
	case 11:
		return &UpdateFramework{offer.Framework{ID: framework, Name: "g", Roles: []string{role}}}
	case 12:
		return &CountDown{[]Remaining{{framework, time.Duration(intn(5)-1) * time.Second}}}
	case 13:
		return &RemoveFramework{framework}
	case 14:
		weight := resource.Units(int64(intn(3)))
		return &SetRole{Role: role, Weight: &weight}
	case 15:
		quota, limit := resource.Quantities{{Name: "cpus", Amount: resource.Scalar(intn(4))}}, resource.Quantities{{Name: "cpus", Amount: resource.Scalar(intn(4))}}
		return &SetRole{Role: role, Guarantee: &quota, Limit: &limit}
	case 16:
		return &PruneSlaves{[]offer.SlaveID{slave, "s-1"}}
	}
	return nil
}

// FuzzApply: no entry panics, two copies agree on results and state, and a snapshot gives the same state again.
func FuzzApply(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
	r := rand.New(rand.NewPCG(5, 6))
	seed := make([]byte, 400)
	for i := range seed {
		seed[i] = byte(r.Uint32())
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := New(), New()
		intn := func(n int) int {
			if len(data) == 0 {
				return 0
			}
			x := int(data[0])
			data = data[1:]
			return x % n
		}
		for len(data) > 0 {
			e := Entry{Reign: a.View().Reign()}
			if intn(8) == 0 {
				e.Reign = uint64(intn(3))
			}
			if intn(16) == 0 || e.Reign == 0 {
				e.Commands = append(e.Commands, Command{Key{1, byte(intn(256))}, &Open{Cluster: "c", Master: "m"}})
			}
			for range 1 + intn(3) {
				e.Commands = append(e.Commands, Command{Key{2, byte(intn(256)), byte(intn(4))}, randomOp(intn)})
			}
			require.Equal(t, a.Apply(e), b.Apply(e))
		}
		require.Equal(t, whole(a.View()), whole(b.View()))
		restored, err := Import(stream(a.View()))
		require.NoError(t, err)
		require.Equal(t, whole(a.View()), whole(restored.View()))
	})
}

func BenchmarkExport(b *testing.B) {
	l := newLog(b)
	for range 100000 {
		l.s.Apply(Entry{Reign: 1, Commands: []Command{{l.key(), &AdmitSlave{host("a")}}}})
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for range l.s.View().Export() {
			n++
		}
		require.Greater(b, n, 100000)
	}
}

func BenchmarkApplyWithViews(b *testing.B) {
	l := newLog(b)
	for range 10000 {
		l.s.Apply(Entry{Reign: 1, Commands: []Command{{l.key(), &AdmitSlave{host("a")}}}})
	}
	b.ReportAllocs()
	for b.Loop() {
		l.s.Apply(Entry{Reign: 1, Commands: []Command{{l.key(), &UpdateSlave{with(host("b"), "s-77")}}}})
		l.s.View()
	}
}

// A registry that is taken up from an older copy hands nothing out again that it may have handed out since.
func TestWhatWasHandedOutAfterACopyIsNotHandedOutAgain(t *testing.T) {
	l := newLog(t)
	first := l.ok(&AdmitSlave{Slave: host("h1")}).Slave
	copied, err := Import(stream(l.s.View()))
	require.NoError(t, err)
	later := l.ok(&AdmitSlave{Slave: host("h2")}).Slave
	framework := l.ok(&AdmitFramework{Framework: offer.Framework{Name: "fw"}}).Framework
	reign := l.ok(&Open{Master: "m2", Level: 1}).Reign

	copied.Skip(1000, 1000, 1000)
	l.s = copied
	require.Greater(t, l.ok(&Open{Master: "m3", Level: 1}).Reign, reign)
	other := l.ok(&AdmitSlave{Slave: host("h3")}).Slave
	require.NotEqual(t, later, other)
	require.NotEqual(t, framework, l.ok(&AdmitFramework{Framework: offer.Framework{Name: "fw"}}).Framework)
	require.True(t, l.s.View().Removed(framework), "it has to begin anew, and is told so")

	// The slave that the copy does not know comes back under its own id.
	back := host("h2")
	back.ID = later
	l.ok(&MarkReachable{Slave: back})
	var ids []offer.SlaveID
	for r := range l.s.View().Slaves() {
		ids = append(ids, r.Slave.ID)
	}
	require.Equal(t, []offer.SlaveID{first, later, other}, ids)
}
