package cgroup

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// The controllers that are used.
const (
	cpu     = "cpu"
	cpuacct = "cpuacct"
	memory  = "memory"
	pids    = "pids"
	freezer = "freezer"
	devices = "devices"
)

// controllers are what is looked for. In version 2, cpu time is counted with no controller at all, and freezing is part of every cgroup.
var controllers = []string{cpu, cpuacct, memory, pids, freezer, devices}

// A hierarchy is one tree of cgroups.
type hierarchy struct {
	mount   string   // where it is mounted
	version int      // 1 or 2
	has     []string // of controllers, those that are used here
}

// findHierarchies reads a table of mounts and decides where each controller is used. why says what keeps the others from being used.
func findHierarchies(table []byte) (found []*hierarchy, why []string) {
	taken := map[string]bool{}
	var second *hierarchy
	lines := bufio.NewScanner(bytes.NewReader(table))
	for lines.Scan() {
		m, ok := parseMount(lines.Text())
		if !ok {
			continue
		}
		if m.readOnly {
			why = append(why, fmt.Sprintf("%s is mounted read-only", m.path))
			continue
		}
		if m.kind == "cgroup2" {
			if second == nil {
				second = &hierarchy{mount: m.path, version: 2}
			}
			continue
		}
		h := &hierarchy{mount: m.path, version: 1}
		for _, name := range controllers {
			if slices.Contains(m.options, name) && !taken[name] {
				taken[name] = true
				h.has = append(h.has, name)
			}
		}
		if len(h.has) > 0 {
			found = append(found, h)
		}
	}
	if second == nil {
		return found, why
	}
	b, _ := os.ReadFile(filepath.Join(second.mount, "cgroup.controllers"))
	for _, name := range strings.Fields(string(b)) {
		if slices.Contains(controllers, name) && !taken[name] {
			second.has = append(second.has, name)
		}
	}
	// With version 1 for everything, the second is still good for a sure kill if there is nothing else for it.
	if len(second.has) > 0 || !taken[freezer] {
		found = append(found, second)
	}
	return found, why
}

type mount struct {
	path, kind string
	options    []string // of the file system
	readOnly   bool
}

// parseMount reads a line of mountinfo: ID PARENT MAJOR:MINOR ROOT PATH OPTIONS [FIELD...] - KIND SOURCE OPTIONS.
func parseMount(line string) (mount, bool) {
	front, back, ok := strings.Cut(line, " - ")
	f, b := strings.Fields(front), strings.Fields(back)
	if !ok || len(f) < 6 || len(b) < 3 || b[0] != "cgroup" && b[0] != "cgroup2" {
		return mount{}, false
	}
	m := mount{path: unescape(f[4]), kind: b[0], options: strings.Split(b[2], ",")}
	m.readOnly = slices.Contains(strings.Split(f[5], ","), "ro") || slices.Contains(m.options, "ro")
	return m, true
}

// unescape undoes what the kernel does to blanks and the like: a backslash and three octal digits.
func unescape(s string) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
