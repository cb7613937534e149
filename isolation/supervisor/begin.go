package supervisor

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/meros-project/meros/isolation"
)

// A beginning is how a process is started in a container: its first one, or a command beside that. The process waits at a gate, makes of
// itself what the plan says, and becomes the program.
type beginning struct {
	plan     *isolation.Plan
	function string      // of the host program, instead of the plan's program; empty for none
	terminal bool        // stdin is one, and becomes the program's own
	streams  []*os.File  // stdin, stdout and stderr
	dir      string      // the container's, where it is told what to do by a file
	enter    *namespaces // of the container, for a command; nil for a first process

	gate, report *os.File // where it waits for a byte, and where it reports
	opener       *os.File // the other end of the gate: with it the process ends
	data         *os.File // of a function; nil for none

	// explain says in words what was reported, why there is no program.
	explain func(report []byte) string
	// furnished says once that the container's namespaces are ready, or why they are not: before that the gate stays closed. Nil where there
	// is nothing to wait for.
	furnished chan error
}

// open makes the gate and the way to report, and returns where to read that.
func (b *beginning) open() (reports *os.File, err error) {
	if b.gate, b.opener, err = os.Pipe(); err != nil {
		return nil, err
	}
	if reports, b.report, err = os.Pipe(); err != nil {
		return nil, errors.Join(err, b.opener.Close())
	}
	return reports, nil
}

// close closes what only the process is to have.
func (b *beginning) close() {
	for _, f := range append(b.streams[:len(b.streams):len(b.streams)], b.gate, b.report, b.data) {
		if f != nil {
			_ = f.Close()
		}
	}
}

// aboutToStart is what a process reports right before it becomes the program. What follows it is why it could not.
const aboutToStart = "+"

// isStarted is what a first process that stays beside the task reports then. What follows it is the task's wait status, in two bytes.
const isStarted = "\x00"

// exitError is what a process ends with that could not become the program.
const exitError = 126

// tooBig says what the operating system does not: how much it was given.
func tooBig(argv, environment []string) error {
	size, longest := 0, 0
	for _, list := range [][]string{argv, environment} {
		for _, s := range list {
			size += len(s) + 1
			longest = max(longest, len(s)+1)
		}
	}
	return fmt.Errorf("%w: the arguments and the environment have %d bytes, the longest one %d (allowed: %s)", syscall.E2BIG, size, longest, argumentLimits())
}
