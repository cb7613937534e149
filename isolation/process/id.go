package process

import (
	"errors"
	"syscall"
)

// ErrGone says that a process has ended.
var ErrGone = errors.New("process: has ended")

// An ID names one process for ever: unlike its number, the triple is not used again.
type ID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // when it was started, in a unit of the operating system
	Boot  string `json:"boot"`  // the boot of the machine, where that is known
}

// Alive reports whether the process runs; one that has ended and is not reaped yet does not.
func (id ID) Alive() bool {
	now, err := Identify(id.PID)
	return err == nil && now == id
}

// KillTree kills everything that descends from the process with number root, but not that process itself, and everything in the
// session of the process with number session. It stops the processes first, so that they cannot start others faster than they are
// killed. A root or session of 0 or 1 names nothing. It returns how many it signalled; zero says that nothing is left.
func KillTree(root, session int) int {
	all := stopAll(func(t table) []ID {
		return append(t.descendants(root), t.session(session)...)
	})
	return killAll(all)
}

// KillMarked kills everything that has the environment entry mark ("NAME=value"), with all that descends from it: what is left of a
// container whose supervisor has died, wherever it has moved. It returns how many processes it signalled.
func KillMarked(mark string) int {
	all := stopAll(func(t table) []ID {
		var ids []ID
		for pid := range t {
			if hasEnvironment(pid, mark) {
				ids = append(ids, t[pid].id)
				ids = append(ids, t.descendants(pid)...)
			}
		}
		return ids
	})
	return killAll(all)
}

// rounds bounds the hunt for processes that keep starting others while they are being stopped.
const rounds = 20

func stopAll(find func(table) []ID) map[ID]bool {
	all := map[ID]bool{}
	for range rounds {
		fresh := 0
		for _, id := range find(snapshot()) {
			if !all[id] {
				all[id] = true
				fresh++
				_ = id.Signal(syscall.SIGSTOP)
			}
		}
		if fresh == 0 {
			break
		}
	}
	return all
}

func killAll(all map[ID]bool) int {
	n := 0
	for id := range all {
		if id.Signal(syscall.SIGKILL) == nil {
			n++
		}
	}
	return n
}

// An entry is what the table of processes tells about one.
type entry struct {
	id              ID
	parent, session int
}

// A table is the living processes by number.
type table map[int]entry

func (t table) descendants(root int) []ID {
	if root <= 1 {
		return nil // everything descends from these
	}
	children := map[int][]int{}
	for pid, e := range t {
		children[e.parent] = append(children[e.parent], pid)
	}
	var ids []ID
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, pid := range children[queue[0]] {
			if !seen[pid] {
				seen[pid] = true
				ids = append(ids, t[pid].id)
				queue = append(queue, pid)
			}
		}
	}
	return ids
}

func (t table) session(sid int) []ID {
	var ids []ID
	if sid <= 1 {
		return nil
	}
	for _, e := range t {
		if e.session == sid {
			ids = append(ids, e.id)
		}
	}
	return ids
}
