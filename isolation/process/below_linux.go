package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// KillBelow kills those descendants of the process with number root that have the environment entry mark or are in the session, with all that
// descends from them. It stops them first, and looks at nothing but root's own descendants, which is cheap where there are few. It
// returns how many it signalled. A root of 0 or 1 names nothing.
func KillBelow(root int, mark string, session int) int {
	if root <= 1 {
		return 0
	}
	if _, err := os.Lstat("/proc/thread-self/children"); err != nil { // a kernel that does not list them
		return killAll(stopAll(func(t table) []ID {
			ids := t.session(session)
			for _, id := range t.descendants(root) {
				if hasEnvironment(id.PID, mark) {
					ids = append(append(ids, id), t.descendants(id.PID)...)
				}
			}
			return ids
		}))
	}
	all := map[ID]bool{}
	for range rounds {
		fresh := 0
		chosen := map[int]bool{}
		walk(root, func(pid, parent int) {
			e, err := readStat(pid)
			if !chosen[parent] && (err != nil || e.session != session) && !hasEnvironment(pid, mark) {
				return
			}
			chosen[pid] = true
			if err == nil && e.parent == parent && !all[e.id] { // and not one that has got the number since
				all[e.id] = true
				fresh++
				_ = e.id.Signal(syscall.SIGSTOP)
			}
		})
		if fresh == 0 {
			break
		}
	}
	return killAll(all)
}

// walk calls f for all descendants of a process, parents before their children.
func walk(root int, f func(pid, parent int)) {
	seen := map[int]bool{root: true}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, pid := range children(queue[0]) {
			if !seen[pid] {
				seen[pid] = true
				f(pid, queue[0])
				queue = append(queue, pid)
			}
		}
	}
}

// children are the processes that any thread of a process has started, or that have become its own.
func children(pid int) []int {
	var list []int
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, file := range lists {
		b, _ := os.ReadFile(file)
		for _, s := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(s); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}
