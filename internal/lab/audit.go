package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meros-project/meros/offer"
)

// A journal is what the tasks have noted themselves.
type journal struct {
	starts map[string][]time.Time
	ends   map[string]int
	beats  map[string]time.Time // when a long task was last seen to live
}

func readJournal(dir string) (*journal, error) {
	j := &journal{starts: map[string][]time.Time{}, ends: map[string]int{}, beats: map[string]time.Time{}}
	starts, err := os.ReadFile(filepath.Join(dir, "starts"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(starts)) {
		id, at, ok := strings.Cut(strings.TrimSpace(line), " ")
		seconds, err := strconv.ParseFloat(at, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("journal: a start says %q", line)
		}
		j.starts[id] = append(j.starts[id], time.UnixMicro(int64(seconds*1e6)))
	}
	ends, err := os.ReadFile(filepath.Join(dir, "ends"))
	if err != nil {
		return nil, err
	}
	for id := range strings.FieldsSeq(string(ends)) {
		j.ends[id]++
	}
	beats, err := os.ReadDir(filepath.Join(dir, "beats"))
	if err != nil {
		return nil, err
	}
	for _, b := range beats {
		if st, err := b.Info(); err == nil {
			j.beats[b.Name()] = st.ModTime()
		}
	}
	return j, nil
}

// makeJournal makes the folder, in which the tasks of all slaves may write.
func makeJournal(dir string) error {
	var errs []error
	errs = append(errs, os.MkdirAll(filepath.Join(dir, "beats"), 0o755), os.Chmod(filepath.Join(dir, "beats"), 0o777))
	for _, name := range []string{"starts", "ends"} {
		path := filepath.Join(dir, name)
		errs = append(errs, os.WriteFile(path, nil, 0o666), os.Chmod(path, 0o666))
	}
	return errors.Join(errs...)
}

// readBook reads a ledger that its framework goes on writing.
func readBook(path string) (*book, error) {
	b := newBook()
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, err = readEntries(f, b)
	return b, err
}

// A trouble is a time in which tasks that are launched on a host may fail.
type trouble struct {
	host     string
	from, to time.Time // to is zero while it lasts
}

// clockSlack is how much earlier the clock of files may be than that of programs, twice.
const clockSlack = 20 * time.Millisecond

// audit compares what the frameworks were told with what the tasks have noted, and says what cannot be. The journal must be read before the
// books where more notes mean more blame, and after them where fewer do: so it is read on both sides.
func audit(before *journal, books []*book, after *journal, troubles []trouble) []string {
	var wrong []string
	blame := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	known := map[string]bool{}
	for _, b := range books {
		for _, id := range b.strangers {
			blame("%s: a framework was told of a task that it has not launched", id)
		}
		for _, r := range b.order {
			known[r.id] = true
			for _, w := range auditTask(r, before, after, troubles) {
				blame("%s on %s, %s: %s", r.id, r.host, told(r), w)
			}
		}
		for _, w := range auditLeases(b, after) {
			blame("%s", w)
		}
	}
	for id := range before.starts {
		if !known[id] {
			blame("%s: it was started, but no framework has launched it", id)
		}
	}
	slices.Sort(wrong)
	return wrong
}

// told is what a framework was told of a task last.
func told(r *record) string {
	if r.state == "" {
		return "no word yet"
	}
	return strings.TrimSpace(r.state + " " + r.reason)
}

// auditTask says what is wrong with one task.
func auditTask(r *record, before, after *journal, troubles []trouble) []string {
	var wrong []string
	if n := len(after.starts[r.id]); n > 1 {
		wrong = append(wrong, fmt.Sprintf("it was started %d times", n))
	}
	started := len(after.starts[r.id]) > 0
	if r.slot != "" && r.ended() && after.beats[r.id].After(r.at.Add(clockSlack)) {
		wrong = append(wrong, fmt.Sprintf("it was alive %v after its framework was told of its end", after.beats[r.id].Sub(r.at)))
	}
	excused := slices.ContainsFunc(troubles, func(t trouble) bool {
		return t.host == r.host && r.launched.After(t.from.Add(-10*time.Second)) && (t.to.IsZero() || r.launched.Before(t.to.Add(10*time.Second)))
	})
	expired := r.leased && r.reason == offer.ReasonLeaseExpired.String()
	switch {
	case !r.ended():
	case r.state == offer.Finished.String() && r.slot == "":
		if n := after.ends[r.id]; n != 1 || !started {
			wrong = append(wrong, fmt.Sprintf("it has started %d times and ended %d times by its own notes", len(after.starts[r.id]), n))
		}
	case r.state == offer.Dropped.String(), r.state == offer.Gone.String() && !expired:
		if started && !expired {
			wrong = append(wrong, "it was lost: it had started")
		}
	case r.state == offer.Gone.String():
	case r.state == offer.Killed.String() && r.killed:
	case excused:
	default:
		wrong = append(wrong, "it was lost: nothing has happened that ends it; "+r.detail)
	}
	return wrong
}

// auditLeases says where two tasks of a slot whose tasks have leases were there at once.
func auditLeases(b *book, j *journal) []string {
	var wrong []string
	latest := map[string]*record{}
	for _, r := range b.order {
		if !r.leased {
			continue
		}
		for _, started := range j.starts[r.id] {
			if old := latest[r.slot]; old != nil && j.beats[old.id].After(started.Add(clockSlack)) {
				wrong = append(wrong, fmt.Sprintf("%s on %s was alive %v after %s on %s had started, in spite of its lease", old.id, old.host,
					j.beats[old.id].Sub(started), r.id, r.host))
			}
			latest[r.slot] = r
		}
	}
	return wrong
}

// missing says what a framework still lacks after everything has healed, or nothing: a slot whose task is not running or has not been alive
// since, a task from before of which the end is not known, a new short task that has come to its end.
func missing(name string, b *book, j *journal, since time.Time) string {
	for i := range longTasks {
		slot := fmt.Sprintf("%s-long-%d", name, i+1)
		switch r := b.slots[slot]; {
		case r == nil:
			return slot + " was not launched yet"
		case r.state != offer.Running.String():
			return fmt.Sprintf("%s on %s is not running: %s", r.id, r.host, told(r))
		case !j.beats[r.id].After(since):
			return fmt.Sprintf("%s on %s has shown no life", r.id, r.host)
		}
	}
	fresh := false
	for _, r := range b.order {
		if r.launched.After(since) {
			fresh = fresh || r.slot == "" && r.state == offer.Finished.String()
			continue
		}
		if (r.slot == "" || r.replaced) && !r.ended() {
			return fmt.Sprintf("%s on %s has not ended: %s", r.id, r.host, told(r))
		}
	}
	if !fresh {
		return name + " has run no short task since"
	}
	return ""
}
