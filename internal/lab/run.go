//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// run is the story: start, one fault after the other, a good end.
func (l *lab) run(ctx context.Context, report *Report) error {
	l.begun = time.Now() // building has taken its own time
	l.announce()
	for _, name := range nodeNames() {
		if err := l.processes[name].start(); err != nil {
			return err
		}
	}
	plan := NewPlan(l.cfg.Seed)
	l.recover(ctx, time.Now(), "at the beginning")
	for ctx.Err() == nil && len(l.blamed()) == 0 {
		f := plan.Next()
		if len(l.cfg.Kinds) > 0 && !slices.Contains(l.cfg.Kinds, f.Kind) {
			continue
		}
		if len(report.Results) > 0 && time.Since(l.begun)+f.Hold > l.cfg.Time {
			break
		}
		if err := l.suffer(ctx, f); err != nil {
			return fmt.Errorf("fault %v: %w", f, err)
		}
		healed := time.Now()
		l.recover(ctx, healed, "after fault "+strings.TrimSpace(f.String()))
		l.forgive()
		report.Results = append(report.Results, Result{f, time.Since(healed)})
		if len(l.blamed()) == 0 {
			l.printf("    well again after %.1f s", time.Since(healed).Seconds())
		}
	}
	if len(l.blamed()) == 0 && ctx.Err() == nil {
		l.farewell()
	}
	l.searchLogs()
	if report.Wrong = l.blamed(); len(report.Wrong) > 0 {
		l.explain()
	}
	return ctx.Err()
}

// announce prints the list, as far as it can be reached.
func (l *lab) announce() {
	how := "plain text"
	if l.tls() {
		how = "TLS"
	}
	l.printf("seed %d: %d masters, %d slaves, %d frameworks, %s; faults for %v, the beginning of the list:", l.cfg.Seed, masters, slaves, frameworks, how, l.cfg.Time)
	plan, holds := NewPlan(l.cfg.Seed), time.Duration(0)
	for range 48 {
		f := plan.Next()
		if holds += f.Hold + time.Second; holds > l.cfg.Time && f.Number > 1 {
			break
		}
		fmt.Fprintf(l.cfg.Out, "         %v\n", f)
	}
}

// wait sleeps, unless the lab is to end.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// recover waits until everything is well again, and compares the books.
func (l *lab) recover(ctx context.Context, since time.Time, when string) {
	lacking := "nothing was looked at"
	for limit := time.Now().Add(l.cfg.Bound); ; wait(ctx, 250*time.Millisecond) {
		if lacking = l.lacking(since); lacking == "" || ctx.Err() != nil || len(l.blamed()) > 0 {
			break
		}
		if time.Now().After(limit) {
			l.blame(fmt.Sprintf("not well again within %v %s: %s", l.cfg.Bound, when, lacking))
			break
		}
	}
	if err := l.audit(); err != nil {
		l.blame(err.Error())
	}
}

// lacking says what is not as it should be yet: one leader, all slaves, all tasks.
func (l *lab) lacking(since time.Time) string {
	leads, members, err := l.observer.masters(l.masterAddresses())
	if err != nil {
		return err.Error()
	}
	if len(members) != masters {
		return fmt.Sprintf("the leader knows %d masters", len(members))
	}
	states, err := l.observer.slaves(leads)
	if err != nil {
		return err.Error()
	}
	for _, s := range names("s", slaves) {
		if want := "connected " + l.address(s); states[s] != want && !strings.HasSuffix(states[s], "@"+l.address(s)) {
			return fmt.Sprintf("slave %s is %q, not %q", s, states[s], want)
		}
	}
	notes, err := readJournal(l.path("journal"))
	if err != nil {
		return err.Error()
	}
	for _, name := range names("f", frameworks) {
		b, err := readBook(l.ledger(name))
		if err != nil {
			return err.Error()
		}
		if what := missing(name, b, notes, since); what != "" {
			return what
		}
	}
	return ""
}

func (l *lab) books() ([]*book, error) {
	var all []*book
	for _, name := range names("f", frameworks) {
		b, err := readBook(l.ledger(name))
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

func (l *lab) audit() error {
	before, err := readJournal(l.path("journal"))
	if err != nil {
		return err
	}
	books, err := l.books()
	if err != nil {
		return err
	}
	after, err := readJournal(l.path("journal"))
	if err != nil {
		return err
	}
	for _, w := range audit(before, books, after, l.troubles) {
		l.blame(w)
	}
	return nil
}

// farewell ends the frameworks, which must end their tasks, and then everybody else: nobody may need to be killed.
func (l *lab) farewell() {
	const patience = time.Minute
	l.together(names("f", frameworks), func(p *process) {
		if !p.stop(patience) {
			l.blame(p.name + " could not be torn down: " + p.lastLine())
		}
	})
	limit := time.Now().Add(patience)
	for len(l.tasks()) > 0 && time.Now().Before(limit) {
		time.Sleep(100 * time.Millisecond)
	}
	if left := l.tasks(); len(left) > 0 {
		l.blame(fmt.Sprintf("%d processes of tasks are there %v after their frameworks were torn down", len(left), patience))
	}
	l.together(append(names("s", slaves), names("m", masters)...), func(p *process) {
		if !p.stop(patience) {
			l.blame(p.name + " did not end when it was asked to: " + p.lastLine())
		}
	})
	if err := l.audit(); err != nil {
		l.blame(err.Error())
	}
}

func (l *lab) together(which []string, do func(*process)) {
	var all sync.WaitGroup
	for _, name := range which {
		all.Go(func() { do(l.processes[name]) })
	}
	all.Wait()
}

// tasks are the processes of tasks, which have the journal in their arguments.
func (l *lab) tasks() []int {
	return processesWhere(func(dir string) bool {
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		return strings.HasPrefix(string(args), "sh\x00") && strings.Contains(string(args), l.path("journal"))
	})
}

var alarming = regexp.MustCompile(`(?m)^(panic:|fatal error:|WARNING: DATA RACE).*|.*invariant.*`)

// searchLogs looks for what no node may say.
func (l *lab) searchLogs() {
	for _, name := range nodeNames() {
		text, _ := os.ReadFile(l.path(name + ".log"))
		if found := alarming.Find(text); found != nil {
			l.blame(fmt.Sprintf("%s says: %s", name, found))
		}
	}
}

// explain prints what everybody has said last, and keeps the rest if that is wanted.
func (l *lab) explain() {
	for _, w := range l.blamed() {
		l.printf("WRONG: %s", w)
	}
	for _, name := range nodeNames() {
		fmt.Fprintf(l.cfg.Out, "--- the log of %s\n%s\n", name, l.processes[name].tail(2500))
	}
	if l.cfg.Keep == "" {
		return
	}
	err := os.MkdirAll(l.cfg.Keep, 0o755)
	for _, pattern := range []string{"*.log", "*.ledger", "journal/starts", "journal/ends"} {
		found, _ := filepath.Glob(l.path(pattern))
		for _, from := range found {
			var text []byte
			if text, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(filepath.Join(l.cfg.Keep, filepath.Base(from)), text, 0o600)
			}
		}
	}
	l.printf("logs, ledgers and notes are in %s (%v)", l.cfg.Keep, err)
}

func (l *lab) count(report *Report) {
	books, err := l.books()
	if err != nil {
		return
	}
	report.Ends = map[string]int{}
	for _, b := range books {
		report.Tasks += len(b.order)
		for _, r := range b.order {
			report.Ends[told(r)]++
		}
	}
	if notes, err := readJournal(l.path("journal")); err == nil {
		report.Started = len(notes.starts)
	}
}
