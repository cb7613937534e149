package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

const (
	specFile    = "spec.json"
	processFile = "process.json"
	exitFile    = "exit.json"
	socketFile  = "s"
	logFile     = "log"
	claimFile   = "claim."
)

// markName is in the environment of every process of a container; its value is the container's folder.
const markName = "MEROS_RUN"

// order is what a supervisor is told to do.
type order struct {
	Spec *isolation.Spec
	Plan *isolation.Plan
	Boot string
}

// report is how a container ended.
type report struct {
	Exit    offer.Exit
	Unknown bool   // Exit could not be learned
	Failed  string // why it was never started; empty otherwise
}

// folderName keeps paths short and free of whatever a container's id holds.
func folderName(container string) string {
	sum := sha256.Sum256([]byte(container))
	return hex.EncodeToString(sum[:8])
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file in one step. It need not be on disk: what runs does not survive the machine's boot either.
func writeJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	return err
}

// What a claim says.
const (
	claimVoid = "void" // by a slave: nobody starts the container in this attempt
	claimRun  = "run"  // by a supervisor
)

// claim takes an attempt for one claimant, for ever. It reports false if it is taken already. A link that leads nowhere appears
// with its content or not at all.
func claim(dir string, attempt int, what string) (bool, error) {
	err := os.Symlink(what, filepath.Join(dir, claimFile+strconv.Itoa(attempt)))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
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
		what, err := os.Readlink(filepath.Join(dir, claimFile+strconv.Itoa(attempt)))
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
	if readJSON(filepath.Join(dir, processFile), &first) == nil && first.Boot == process.BootID() {
		// The number of a dead process is not given away while a session still has it, so that a match of the session is enough
		// where the process itself has ended; a living one must be the same.
		if now, err := process.Identify(first.PID); err != nil || now == first {
			session = first.PID
		}
		if first.Alive() {
			process.KillTree(first.PID, session)
			_ = first.Signal(9)
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
		_ = readJSON(filepath.Join(dir, n.Name(), specFile), &o) // one without a readable order has not started anything
		found[filepath.Join(dir, n.Name())] = o
	}
	return found, nil
}
