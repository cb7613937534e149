package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
)

// A case of the audit: a ledger, and what the tasks have noted.
type tale struct {
	book    *book
	journal *journal
	t0      time.Time
}

func newTale() *tale {
	return &tale{newBook(), &journal{starts: map[string][]time.Time{}, ends: map[string]int{}, beats: map[string]time.Time{}}, time.Now()}
}

func (a *tale) at(seconds int) time.Time { return a.t0.Add(time.Duration(seconds) * time.Second) }

func (a *tale) launch(seconds int, id, slot string, leased bool) *tale {
	a.book.add(entry{Time: a.at(seconds), What: "launch", ID: id, Slot: slot, Leased: leased, Host: "s1"})
	return a
}

func (a *tale) told(seconds int, id string, s offer.State, r offer.Reason) *tale {
	a.book.add(entry{Time: a.at(seconds), What: "state", ID: id, State: s.String(), Reason: r.String()})
	return a
}

func (a *tale) killed(id string) *tale {
	a.book.add(entry{What: "kill", ID: id})
	return a
}

func (a *tale) started(seconds int, id string) *tale {
	a.journal.starts[id] = append(a.journal.starts[id], a.at(seconds))
	return a
}

func (a *tale) alive(seconds int, id string) *tale {
	a.journal.beats[id] = a.at(seconds)
	return a
}

func (a *tale) ended(id string) *tale {
	a.journal.ends[id]++
	return a
}

func TestTheAuditFindsWhatMustNotBe(t *testing.T) {
	const running, finished, failed, killed, dropped, gone = offer.Running, offer.Finished, offer.Failed, offer.Killed, offer.Dropped, offer.Gone
	const none, expired = offer.ReasonNone, offer.ReasonLeaseExpired
	for name, c := range map[string]struct {
		tale *tale
		want string // nothing
	}{
		"a short task that has finished": {newTale().launch(0, "a", "", false).started(1, "a").ended("a").told(2, "a", finished, none), ""},
		"a long one that runs":           {newTale().launch(0, "a", "l", false).started(1, "a").alive(9, "a").told(2, "a", running, none), ""},
		"a launch that never came":       {newTale().launch(0, "a", "", false).told(2, "a", dropped, none), ""},
		"one that was replaced, came back, and was killed": {newTale().launch(0, "a", "l", false).started(1, "a").told(2, "a", running, none).
			told(3, "a", offer.Unreachable, none).killed("a").alive(4, "a").told(5, "a", killed, none), ""},
		"a lease that is over":    {newTale().launch(0, "a", "l", true).started(1, "a").alive(4, "a").told(5, "a", gone, expired).launch(6, "b", "l", true).started(7, "b"), ""},
		"started twice":           {newTale().launch(0, "a", "", false).started(1, "a").started(2, "a"), "started 2 times"},
		"finished, but never run": {newTale().launch(0, "a", "", false).told(2, "a", finished, none), "started 0 times and ended 0 times"},
		"finished in the middle":  {newTale().launch(0, "a", "", false).started(1, "a").told(2, "a", finished, none), "started 1 times and ended 0 times"},
		"dropped after it began":  {newTale().launch(0, "a", "", false).started(1, "a").told(2, "a", dropped, none), "it was lost: it had started"},
		"gone without a lease":    {newTale().launch(0, "a", "l", false).started(1, "a").told(2, "a", gone, expired), "it was lost: it had started"},
		"failed for no reason":    {newTale().launch(0, "a", "l", false).started(1, "a").told(2, "a", failed, none), "nothing has happened that ends it"},
		"killed by nobody":        {newTale().launch(0, "a", "l", false).started(1, "a").told(2, "a", killed, none), "nothing has happened that ends it"},
		"alive after its end": {newTale().launch(0, "a", "l", true).started(1, "a").told(2, "a", gone, expired).alive(4, "a"),
			"alive 2s after its framework was told of its end"},
		"two at once": {newTale().launch(0, "a", "l", true).started(1, "a").alive(9, "a").launch(3, "b", "l", true).started(7, "b"),
			"a on s1 was alive 2s after b on s1 had started, in spite of its lease"},
		"launched by nobody": {newTale().started(1, "x"), "x: it was started, but no framework has launched it"},
		"told of a stranger": {&tale{book: &book{strangers: []string{"x"}}, journal: newTale().journal}, "x: a framework was told of a task that it has not launched"},
	} {
		wrong := audit(c.tale.journal, []*book{c.tale.book}, c.tale.journal, nil)
		if c.want == "" {
			require.Empty(t, wrong, name)
		} else {
			require.Len(t, wrong, 1, name)
			require.Contains(t, wrong[0], c.want, name)
		}
	}
}

func TestALaunchOnAFullDiskMayFailButNotOneFromBefore(t *testing.T) {
	a := newTale().launch(0, "a", "", false).told(31, "a", offer.Failed, offer.ReasonNone)
	full := trouble{host: "s1", from: a.at(30), to: a.at(40)}
	require.Len(t, audit(a.journal, []*book{a.book}, a.journal, []trouble{full}), 1)
	b := newTale().launch(32, "b", "", false).told(33, "b", offer.Failed, offer.ReasonNone)
	full = trouble{host: "s1", from: b.at(30), to: b.at(40)}
	require.Empty(t, audit(b.journal, []*book{b.book}, b.journal, []trouble{full}))
	full.host = "s2"
	require.Len(t, audit(b.journal, []*book{b.book}, b.journal, []trouble{full}), 1)
}

func TestWhatAFrameworkLacksIsNamed(t *testing.T) {
	a := newTale()
	require.Equal(t, "f-long-1 was not launched yet", missing("f", a.book, a.journal, a.t0))
	for i := range longTasks {
		id := fmt.Sprintf("f-long-%d.1", i+1)
		a.launch(1, id, fmt.Sprintf("f-long-%d", i+1), false).told(2, id, offer.Running, offer.ReasonNone).alive(5, id)
	}
	require.Equal(t, "f-long-1.1 on s1 has shown no life", missing("f", a.book, a.journal, a.at(6)))
	require.Equal(t, "f has run no short task since", missing("f", a.book, a.journal, a.at(4)))
	a.launch(3, "old", "", false).launch(5, "new", "", false).told(6, "new", offer.Finished, offer.ReasonNone)
	require.Equal(t, "old on s1 has not ended: no word yet", missing("f", a.book, a.journal, a.at(4)))
	a.told(7, "old", offer.Dropped, offer.ReasonNone)
	require.Empty(t, missing("f", a.book, a.journal, a.at(4)))
	a.told(8, "f-long-3.1", offer.Unreachable, offer.ReasonNone)
	require.Equal(t, "f-long-3.1 on s1 is not running: TASK_UNREACHABLE", missing("f", a.book, a.journal, a.at(4)))
}

func TestALedgerSurvivesHalfALine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	l, err := openLedger(path)
	require.NoError(t, err)
	require.NoError(t, l.write(entry{What: "launch", ID: "a", Slot: "one"}))
	require.NoError(t, l.file.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(text, `{"what":"laun`...), 0o600))
	l, err = openLedger(path)
	require.NoError(t, err)
	require.Len(t, l.book.order, 1)
	require.NoError(t, l.write(entry{What: "state", ID: "a", State: "TASK_RUNNING"}))
	require.NoError(t, l.file.Close())
	b, err := readBook(path)
	require.NoError(t, err)
	require.Equal(t, "TASK_RUNNING", b.slots["one"].state)
	_, err = readEntries(bytes.NewReader([]byte("nonsense\n")), newBook())
	require.Error(t, err)
}
