package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

const (
	socketFile = "s"
	logFile    = "log"
	claimFile  = "claim."
)

// markName is in the environment of every process of a container; its value is the container's folder.
const markName = "MEROS_RUN"

// order is what a supervisor is told to do.
type order struct {
	Spec *isolation.Spec
	Plan *isolation.Plan
	Boot string

	// How large each of the output's files may grow, in bytes, and how many full ones are kept of each.
	OutputBytes int64
	OutputFiles int
	LeaseUntil  time.Duration // of a container with a lease: when it runs out unless it is renewed, by process.Clock
}

// orderRead is as much of an order as a supervisor needs to read.
type orderRead struct {
	Spec *specRead
	Plan *isolation.Plan

	OutputBytes int64
	OutputFiles int
	LeaseUntil  time.Duration
}

// specRead is what a supervisor needs of a Spec.
type specRead struct {
	Function string
	Data     []byte
	Sandbox  string
	Tied     bool
	Streams  *offer.Streams
	Lease    time.Duration
}

// report is how a container ended.
type report struct {
	Exit    offer.Exit
	Unknown bool   // Exit could not be learned
	Failed  string // why it was never started; empty otherwise
	Expired bool   // it was ended because its lease ran out
}

// folderName keeps paths short and free of whatever a container's id holds.
func folderName(container string) string {
	sum := sha256.Sum256([]byte(container))
	return hex.EncodeToString(sum[:8])
}

// What a claim says.
const (
	claimVoid = "void" // by a slave: nobody starts the container in this attempt
	claimRun  = "run"  // by a supervisor
)

// claim takes an attempt for one claimant, for ever. It reports false if it is taken already. It appears with what it says or not at all: a
// link that leads nowhere, or for a run, which is what costs time, another name of the run's file.
func claim(dir string, attempt int, what string) (bool, error) {
	path := filepath.Join(dir, claimFile+strconv.Itoa(attempt))
	err := errors.ErrUnsupported
	if what == claimRun {
		err = os.Link(runPath(dir), path)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		err = os.Symlink(what, path)
	}
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// claimed is what a claim that is taken says.
func claimed(dir string, attempt int) (string, error) {
	path := filepath.Join(dir, claimFile+strconv.Itoa(attempt))
	st, err := os.Lstat(path)
	if err != nil || st.Mode().IsRegular() {
		return claimRun, err
	}
	return os.Readlink(path)
}

// settle makes sure that no supervisor of an earlier run will start the container from now on. It reports whether one did already,
// and otherwise the next free attempt.
func settle(dir string) (ran bool, attempt int, err error) {
	for attempt = 1; ; attempt++ {
		mine, err := claim(dir, attempt, claimVoid)
		if err != nil {
			return false, 0, err
		}
		if mine {
			return false, attempt + 1, nil
		}
		what, err := claimed(dir, attempt)
		if err != nil {
			return false, 0, err
		}
		if what != claimVoid {
			return true, attempt, nil
		}
	}
}

// killRemains kills everything of a container whose supervisor is gone.
func killRemains(dir string) {
	var first process.ID
	session := 0
	if readRecord(dir, processRecord, &first) == nil && first.Boot == process.BootID() {
		// The number of a dead process is not given away while a session still has it, so that a match of the session is enough
		// where the process itself has ended; a living one must be the same.
		if now, err := process.Identify(first.PID); err != nil || now == first {
			session = first.PID
		}
		if first.Alive() {
			ended := first.Ending()
			process.KillTree(first.PID, session)
			_ = first.Signal(9)
			ended(5 * time.Second)
		}
	}
	for range 50 {
		n := process.KillMarked(mark(dir))
		if session > 0 {
			n += process.KillTree(0, session)
		}
		if n == 0 {
			return
		}
	}
}

func mark(dir string) string { return markName + "=" + dir }

// listContainers returns the folders of containers below dir with what they were told to run.
func listContainers(dir string) (map[string]order, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found := map[string]order{}
	for _, n := range names {
		if !n.IsDir() || strings.HasPrefix(n.Name(), ".") {
			continue
		}
		var o order
		_ = readRecord(filepath.Join(dir, n.Name()), orderRecord, &o) // one without a readable order has not started anything
		found[filepath.Join(dir, n.Name())] = o
	}
	return found, nil
}
