//go:build linux

package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const spacesDir = "/run/netns"

// A space is a network namespace with a name.
type space string

func (s space) path() string { return filepath.Join(spacesDir, string(s)) }

// do calls f on a thread that is in the namespace. Sockets and processes that f makes belong to it.
func (s space) do(f func() error) error {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer own.Close()
	other, err := os.Open(s.path())
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer other.Close()
	if err := unix.Setns(int(other.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter %s: %w", s, err)
	}
	err = f()
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(fmt.Sprintf("lab: a thread cannot leave the namespace %s: %v", s, back)) // whatever ran on it next would be on the wrong network
	}
	runtime.UnlockOSThread()
	return err
}

// processes are those that are in the namespace.
func (s space) processes() []int {
	st, err := os.Stat(s.path())
	if err != nil {
		return nil
	}
	own := st.Sys().(*syscall.Stat_t).Ino
	return processesWhere(func(dir string) bool {
		st, err := os.Stat(filepath.Join(dir, "ns/net"))
		return err == nil && st.Sys().(*syscall.Stat_t).Ino == own
	})
}

// processesWhere lists the processes, but for this one, of whose folder in /proc something is true.
func processesWhere(is func(dir string) bool) []int {
	var found []int
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() && is(filepath.Join("/proc", e.Name())) {
			found = append(found, pid)
		}
	}
	return found
}

// tool runs a program of the machine, with lines on its standard input.
func tool(input string, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// A network is one bridge with a cable to each node.
type network struct {
	prefix string // of the namespaces' names
	bridge space
}

func (n *network) node(name string) space { return space(n.prefix + name) }

// Addresses: a node has its first one, or after a move its second one; the lab itself looks on from the bridge.
const mask = "/24"

const bridgeAddress = "10.77.0.1"

func address(name string, moved bool) string {
	number, _ := strconv.Atoi(name[1:])
	number += map[byte]int{'m': 10, 's': 30, 'f': 50}[name[0]]
	if moved {
		number += 100
	}
	return fmt.Sprintf("10.77.0.%d", number)
}

// allAddresses are what a node may ever have.
func allAddresses() map[string][]string {
	all := map[string][]string{}
	for _, n := range nodeNames() {
		all[n] = []string{address(n, false), address(n, true)}
	}
	return all
}

// newNetwork makes the namespaces. After an error a part of them is there.
func newNetwork(prefix string) (*network, error) {
	n := &network{prefix: prefix, bridge: space(prefix + "bridge")}
	steps := [][]string{{"netns", "add", string(n.bridge)}, {"-n", string(n.bridge), "link", "add", "br0", "type", "bridge"},
		{"-n", string(n.bridge), "addr", "add", bridgeAddress + mask, "dev", "br0"}, {"-n", string(n.bridge), "link", "set", "br0", "up"}}
	for _, name := range nodeNames() {
		in, port := string(n.node(name)), "to-"+name
		steps = append(steps, []string{"netns", "add", in},
			[]string{"-n", string(n.bridge), "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", in},
			[]string{"-n", string(n.bridge), "link", "set", port, "master", "br0", "up"},
			[]string{"-n", in, "addr", "add", address(name, false) + mask, "dev", "eth0"},
			[]string{"-n", in, "link", "set", "eth0", "up"}, []string{"-n", in, "link", "set", "lo", "up"})
	}
	for _, s := range steps {
		if err := tool("", "ip", s...); err != nil {
			return n, err
		}
	}
	return n, nil
}

// move gives a node another address, and no other.
func (n *network) move(name, to string) error {
	in := string(n.node(name))
	if err := tool("", "ip", "-n", in, "addr", "flush", "dev", "eth0"); err != nil {
		return err
	}
	return tool("", "ip", "-n", in, "addr", "add", to+mask, "dev", "eth0")
}

// filter replaces the rules of what passes the bridge; none lets everything pass.
func (n *network) filter(rules []string) error {
	script := "table bridge lab\ndelete table bridge lab\n"
	if len(rules) > 0 {
		script += "table bridge lab {\n chain passing {\n  type filter hook forward priority 0; policy accept;\n  " + strings.Join(rules, "\n  ") + "\n }\n}\n"
	}
	return n.bridge.do(func() error { return tool(script, "nft", "-f", "-") })
}
