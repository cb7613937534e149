package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
)

// The descriptors of a stage: the plan to read, the gate to wait at, where to report, and the data of a function task.
const (
	planDescriptor   = 3
	gateDescriptor   = 4
	reportDescriptor = 5
	stageData        = 6
)

// stagePlan is what a stage carries out.
type stagePlan struct {
	Plan     *isolation.Plan
	Function string
	Terminal bool     // stdin is one, the task's own
	Enter    []string // names of namespaces that are entered first; their descriptors begin at stageNamespaces
}

// aboutToStart is what a stage reports right before it becomes the task. What follows it is why it could not.
const aboutToStart = "+"

// isStarted is what a stage that stays beside the task reports then. What follows it is the task's wait status, in two bytes.
const isStarted = "\x00"

// stage is the container's first process until it becomes the task: it changes what only a process itself can change.
func stage() int {
	// Some of what follows is a property of the thread that finally becomes the task.
	runtime.LockOSThread()
	for fd := planDescriptor; fd <= stageData; fd++ {
		syscall.CloseOnExec(fd)
	}
	out := os.NewFile(reportDescriptor, "report")
	var sp stagePlan
	if err := json.NewDecoder(os.NewFile(planDescriptor, "plan")).Decode(&sp); err != nil {
		fmt.Fprintf(out, "read the plan: %v", err)
		return 126
	}
	var gate [1]byte
	if n, _ := os.NewFile(gateDescriptor, "gate").Read(gate[:]); n != 1 {
		return 126 // the supervisor is gone: nobody would know how the task ends
	}
	if sp.Plan.Namespaces != nil {
		return initial(&sp, out)
	}
	program, argv, err := "", []string(nil), enter(sp.Enter)
	if err == nil {
		program, argv, err = become(&sp)
	}
	if err != nil {
		fmt.Fprintf(out, "%v", err)
		return 126
	}
	if sp.Function != "" {
		// dup2 leaves the copy open across exec.
		if err := duplicate(stageData, dataDescriptor); err != nil {
			fmt.Fprintf(out, "data: %v", err)
			return 126
		}
	}
	if err := resetSignals(); err != nil {
		fmt.Fprintf(out, "signals: %v", err)
		return 126
	}
	fmt.Fprint(out, aboutToStart)
	err = syscall.Exec(program, argv, sp.Plan.Environment)
	fmt.Fprintf(out, "%v", execError(argv, sp.Plan.Environment, err))
	return 126
}

// execError says why a program could not be executed.
func execError(argv, environment []string, err error) error {
	if errors.Is(err, syscall.E2BIG) {
		err = tooBig(argv, environment)
	}
	return fmt.Errorf("%.200s: %w", argv[0], err)
}

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

// become applies the plan to the calling thread, which is locked, and returns what it is to execute.
func become(sp *stagePlan) (program string, argv []string, err error) {
	p := sp.Plan
	syscall.Umask(p.Umask)
	if err := syscall.Chdir(p.Directory); err != nil {
		return "", nil, fmt.Errorf("sandbox: %w", err)
	}
	for _, l := range p.Rlimits {
		if err := setLimit(l); err != nil {
			return "", nil, fmt.Errorf("limit %s: %w", l.Name, err)
		}
	}
	closeDescriptors(planDescriptor)
	if err := confine(p); err != nil {
		return "", nil, err
	}
	if sp.Function != "" {
		program, err = self()
		p.Setenv(roleVariable, functionName)
		return program, []string{functionName, sp.Function}, err
	}
	if len(p.Argv) == 0 {
		return "", nil, errors.New("the plan names no program")
	}
	program = p.Program
	if program == "" {
		program = p.Argv[0]
	}
	program, err = lookPath(program, p.Getenv("PATH"))
	return program, p.Argv, err
}

// lookPath finds a program as a shell would, in the task's PATH.
func lookPath(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	var found error = fs.ErrNotExist
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			dir = "."
		}
		full := filepath.Join(dir, name)
		st, err := os.Stat(full)
		switch {
		case err != nil:
		case st.IsDir() || st.Mode()&0o111 == 0:
			found = fs.ErrPermission
		default:
			return full, nil
		}
	}
	return "", fmt.Errorf("%.200s: %w in PATH %.1000s", name, found, path)
}

// confine takes away the stage's rights. The filter of calls comes first: later a thread that may gain privileges is not allowed to have
// one. It denies nothing of what follows.
func confine(p *isolation.Plan) error {
	if p.NoNewPrivileges {
		if err := banPrivileges(); err != nil {
			return fmt.Errorf("ban new privileges: %w", err)
		}
	}
	if p.Seccomp != nil {
		if err := process.InstallFilter(*p.Seccomp); err != nil {
			return err
		}
	}
	grant, err := process.BoundCapabilities(p.Capabilities)
	if err != nil {
		return err
	}
	if err := process.BecomeThread(p.User); err != nil {
		return err
	}
	return grant.Apply()
}

func setLimit(l isolation.Rlimit) error {
	which, want, err := limitOf(l)
	if err != nil {
		return err
	}
	return syscall.Setrlimit(which, want)
}

// limitOf is the limit that a process with the limits of the calling one is to have.
func limitOf(l isolation.Rlimit) (which int, want *syscall.Rlimit, err error) {
	which, ok := rlimits[l.Name]
	if !ok {
		return 0, nil, errors.New("is not known here")
	}
	want = &syscall.Rlimit{Cur: l.Soft, Max: l.Hard}
	if l.AtMost {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(which, &now); err != nil {
			return 0, nil, err
		}
		want.Max = min(want.Max, now.Max)
		want.Cur = min(want.Cur, want.Max)
	}
	return which, want, nil
}
