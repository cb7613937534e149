package supervisor

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

func TestNoDamageToARunsFileChangesWhatItSays(t *testing.T) {
	dir := t.TempDir()
	o := order{Spec: &isolation.Spec{Container: "a", Sandbox: "/s"}, Plan: &isolation.Plan{Argv: []string{"true"}}, Boot: "b"}
	first, rep := process.ID{PID: 7, Start: 8, Boot: "b"}, report{Exit: offer.Exit{Code: 1}}
	require.NoError(t, writeOrder(dir, &o))
	require.NoError(t, appendRecord(dir, processRecord, first))
	require.NoError(t, appendRecord(dir, exitRecord, rep))
	path := runPath(dir)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	check := func(damaged []byte, what string, place int) {
		var gotOrder order
		var gotFirst process.ID
		var gotReport report
		for kind, errs := range map[string]error{
			orderRecord:   findRecord(path, damaged, orderRecord, &gotOrder),
			processRecord: findRecord(path, damaged, processRecord, &gotFirst),
			exitRecord:    findRecord(path, damaged, exitRecord, &gotReport),
		} {
			if errs == nil {
				continue
			}
			require.True(t, errors.Is(errs, errDamaged) || errors.Is(errs, fs.ErrNotExist), "%s %d: %s: %v", what, place, kind, errs)
			require.Contains(t, errs.Error(), path, "the file's name")
		}
		if gotOrder.Spec != nil {
			require.Equal(t, o, gotOrder, "%s %d", what, place)
		}
		if gotFirst != (process.ID{}) {
			require.Equal(t, first, gotFirst, "%s %d", what, place)
		}
		if gotReport != (report{}) {
			require.Equal(t, rep, gotReport, "%s %d", what, place)
		}
	}
	for place := range whole {
		for bit := range 8 {
			damaged := bytes.Clone(whole)
			damaged[place] ^= 1 << bit
			check(damaged, "flipped", place)
		}
		check(whole[:place], "cut at", place)
		check(append(bytes.Clone(whole[:place]), make([]byte, len(whole)-place)...), "zeros from", place)
	}
	check(append(bytes.Clone(whole), whole...), "twice", 0)
}

// damage changes one byte of a run's file, the one at the first place of what.
func (b *bench) damage(id, what string) {
	path := runPath(b.r.dir(id))
	text, err := os.ReadFile(path)
	require.NoError(b.t, err)
	place := bytes.Index(text, []byte(what))
	require.GreaterOrEqual(b.t, place, 0, "%s", text)
	text[place] ^= 4
	require.NoError(b.t, os.WriteFile(path, text, 0o600))
}

func TestAnExitStatusThatWasDamagedIsNotTold(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "while [ ! -e stop ]; do sleep 0.02; done; exit 1"), false)
	b.started("a")
	require.NoError(t, b.r.Close())
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "stop"), nil, 0o644))
	eventually(t, "it has ended", func() bool { return readRecord(b.r.dir("a"), exitRecord, &report{}) == nil })
	b.damage("a", `"Code":1`)
	path := runPath(b.r.dir("a"))
	b.open([]string{"a"})
	b.r.Adopt("a")
	ev := b.exitedAfterAll("a")
	require.False(t, ev.Known)
	require.Zero(t, ev.Exit)
	require.Contains(t, ev.Message, path+": line 3 is damaged")
}

func TestAContainerWhoseOrderWasDamagedGoesOn(t *testing.T) {
	b := newBench(t)
	line := "while [ ! -e stop ]; do sleep 0.02; done; exit 5"
	b.r.Start(b.spec("a", line), false)
	pid := b.started("a")
	require.NoError(t, b.r.Close())
	b.damage("a", `"Container"`)
	b.open([]string{"a"})
	b.r.Adopt("a")
	require.Equal(t, pid, b.started("a"))
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "stop"), nil, 0o644))
	require.Equal(t, 5, b.exited("a").Exit.Code)
}

func TestAContainerIsEndedThoughItsFirstProcessCannotBeReadAnyMore(t *testing.T) {
	for _, known := range []bool{false, true} {
		b := newBench(t)
		b.r.Start(b.spec("a", "(setsid sleep 1000 &); echo up; exec sleep 1000"), false)
		pid := b.started("a")
		eventually(t, "it is up", func() bool { return b.output("a", "stdout") == "up\n" })
		first, err := process.Identify(pid)
		require.NoError(t, err)
		supervisor, err := process.Identify(b.supervisorOf(pid))
		require.NoError(t, err)
		require.NoError(t, b.r.Close())
		b.damage("a", `"pid"`)
		require.NoError(t, supervisor.Signal(syscall.SIGKILL))
		dir := b.r.dir("a")
		if known {
			b.open([]string{"a"})
			b.r.Adopt("a")
			require.False(t, b.exitedAfterAll("a").Known)
		} else {
			b.open(nil)
		}
		eventually(t, "nothing of it runs", func() bool { return !first.Alive() && process.KillMarked(mark(dir)) == 0 })
	}
}

func TestAProcessOfAnotherBootIsNotMistakenForTheContainers(t *testing.T) {
	innocent := exec.Command("sleep", "1000")
	innocent.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, innocent.Start())
	defer func() {
		_ = innocent.Process.Kill()
		_ = innocent.Wait()
	}()
	id, err := process.Identify(innocent.Process.Pid)
	require.NoError(t, err)
	for _, c := range []struct {
		first process.ID
		lives bool
	}{
		{process.ID{PID: id.PID, Start: id.Start, Boot: "another boot"}, true},
		{process.ID{PID: id.PID, Start: id.Start + 1, Boot: id.Boot}, true},
		{id, false},
	} {
		dir := t.TempDir()
		require.NoError(t, writeOrder(dir, &order{Spec: &isolation.Spec{Container: "a"}}))
		require.NoError(t, appendRecord(dir, processRecord, c.first))
		killRemains(dir)
		if !c.lives {
			eventually(t, "its own is ended", func() bool { return !id.Alive() })
		}
		require.Equal(t, c.lives, id.Alive(), "%+v", c.first)
	}
}
