package main

import (
	"fmt"
	"os"
	"strings"
)

// A memoryUse is what a process has in memory, in bytes.
type memoryUse struct {
	resident uint64 // all of it
	share    uint64 // with what it has in common with others divided among them
}

func memoryOf(pid int) (memoryUse, error) {
	var u memoryUse
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(text)) {
		var name string
		var kilobytes uint64
		if _, err := fmt.Sscan(line, &name, &kilobytes); err != nil {
			continue
		}
		switch name {
		case "Rss:":
			u.resident = kilobytes << 10
		case "Pss:":
			u.share = kilobytes << 10
		}
	}
	if u.share == 0 {
		return u, fmt.Errorf("process %d: the system does not say what memory it takes", pid)
	}
	return u, nil
}
