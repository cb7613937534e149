package ports

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer/resource"
)

// mostDescriptors bounds how many descriptors of a container are looked at in one go.
const mostDescriptors = 1 << 18

func supported() error {
	if _, err := os.Stat("/proc/self/net/tcp"); err != nil {
		return fmt.Errorf("the system does not tell who listens on which port: %w", err)
	}
	return nil
}

// rootsOf returns what all processes of a container descend from: its first process, and the supervisor that is its parent, to which those
// are handed whose own parent has ended. A supervisor has one container. The caller itself is none.
func rootsOf(pid int) []process.ID {
	first, err := process.Identify(pid)
	if err != nil {
		return nil // it has ended already
	}
	roots := []process.ID{first}
	if parent, err := process.Parent(pid); err == nil && parent.PID > 1 && parent.PID != os.Getpid() {
		roots = append(roots, parent)
	}
	return roots
}

// A machine is what was seen at the last look: it serves all containers that are looked at in the same moment.
type machine struct {
	mu        sync.Mutex
	at        time.Time
	processes process.Table
	sockets   map[uint64]uint16 // ports that somebody listens on, by inode
	namespace string
}

func (m *machine) see(fresh time.Duration) (process.Table, map[uint64]uint16, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at.IsZero() || time.Since(m.at) > fresh {
		m.sockets = map[uint64]uint16{}
		for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
			if f, err := os.Open(file); err == nil { // IPv6 may be missing
				readListening(f, m.sockets)
				_ = f.Close()
			}
		}
		m.namespace, _ = os.Readlink("/proc/self/ns/net")
		m.processes = process.Processes()
		m.at = time.Now()
	}
	return m.processes, m.sockets, m.namespace
}

// readListening reads a table of the kernel's: local address and port, remote ones, the state (0A: listens), ..., and in the tenth column the
// socket's inode.
func readListening(r io.Reader, into map[uint64]uint16) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[3] != "0A" {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		port, err := strconv.ParseUint(hex, 16, 16)
		inode, err2 := strconv.ParseUint(f[9], 10, 64)
		if err == nil && err2 == nil && inode != 0 {
			into[inode] = uint16(port)
		}
	}
}

// listeners finds who of a container listens on ports that are not given, each port once.
func (m *machine) listeners(fresh time.Duration, given resource.Ranges, roots []process.ID, round int) []listener {
	table, sockets, namespace := m.see(fresh)
	wanted := map[uint64]uint16{}
	for inode, port := range sockets {
		if !given.Has(uint64(port)) {
			wanted[inode] = port
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	pids := members(table, roots)
	found := map[uint16]listener{}
	left := mostDescriptors
	for n := range pids {
		pid := pids[(n+round)%len(pids)]
		if ns, err := os.Readlink(file(pid, "ns/net")); err == nil && ns != namespace {
			continue
		}
		if left = holds(pid, wanted, left, found); left <= 0 {
			break
		}
	}
	all := make([]listener, 0, len(found))
	for _, l := range found {
		all = append(all, l)
	}
	return all
}

// members are a container's processes, in a fixed order. Its supervisor is none of them.
func members(table process.Table, roots []process.ID) []int {
	seen := map[int]bool{}
	if len(roots) > 0 && table.Has(roots[0]) {
		seen[roots[0].PID] = true
	}
	for _, root := range roots {
		for _, id := range table.Descendants(root) {
			seen[id.PID] = true
		}
	}
	pids := make([]int, 0, len(seen))
	for pid := range seen {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

func file(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// holds looks at the descriptors of a process, at most so many, and returns how many are left of those.
func holds(pid int, wanted map[uint64]uint16, left int, found map[uint16]listener) int {
	dir, err := os.Open(file(pid, "fd"))
	if err != nil {
		return left // it has ended, or is not the slave's to look at
	}
	defer dir.Close()
	for left > 0 {
		names, _ := dir.Readdirnames(min(left, 1024))
		if len(names) == 0 {
			break
		}
		left -= len(names)
		for _, name := range names {
			target, _ := os.Readlink(file(pid, "fd/"+name))
			number, is := strings.CutPrefix(target, "socket:[")
			if !is {
				continue
			}
			inode, _ := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
			port, bad := wanted[inode]
			if _, known := found[port]; bad && !known {
				comm, _ := os.ReadFile(file(pid, "comm"))
				found[port] = listener{port: port, pid: pid, name: strings.TrimSpace(string(comm))}
			}
		}
	}
	return left
}
