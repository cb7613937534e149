//go:build !linux

package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
)

// The descriptors of a stage behind its streams: the plan to read, the gate to wait at, where to report, and the data of a function task.
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
}

// start starts a stage, the host program once more, which becomes what the beginning says. Where a process cannot make system calls of its own
// between its fork and its program, that is what it takes.
func (b *beginning) start() (int, error) {
	if n := b.plan; n.Namespaces != nil || n.Rootfs != "" || len(n.Mounts) > 0 {
		return 0, errors.New("namespaces, a root folder of its own and volumes need Linux")
	}
	body, err := json.Marshal(stagePlan{Plan: b.plan, Function: b.function})
	if err != nil {
		return 0, err
	}
	plan, err := passing(b.dir, "plan", body)
	if err != nil {
		return 0, err
	}
	defer plan.Close()
	program, err := self()
	if err != nil {
		return 0, err
	}
	files := append(slices.Clone(b.streams), plan, b.gate, b.report)
	if b.data != nil {
		files = append(files, b.data)
	}
	p, err := os.StartProcess(program, []string{stageName}, &os.ProcAttr{Files: files,
		Env: append(slices.DeleteFunc(slices.Clone(b.plan.Environment), func(e string) bool { return !isMark(e) }),
			roleVariable+"="+stageName, "GOMAXPROCS=1", raceSetting, "PATH="+b.plan.Getenv("PATH")),
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: b.terminal}})
	if err != nil {
		return 0, fmt.Errorf("start: %w", err)
	}
	pid := p.Pid
	_ = p.Release() // reaped by wait, with everything else
	return pid, nil
}

// isMark reports whether a variable tells the processes of a container from others.
func isMark(variable string) bool {
	return strings.HasPrefix(variable, markName+"=") || strings.HasPrefix(variable, execName+"=")
}

// stage is a process of a container until it becomes the program: it changes what only a process itself can change.
func stage() int {
	// Some of what follows is a property of the thread that finally becomes the program.
	runtime.LockOSThread()
	for fd := planDescriptor; fd <= stageData; fd++ {
		syscall.CloseOnExec(fd)
	}
	out := os.NewFile(reportDescriptor, "report")
	var sp stagePlan
	if err := json.NewDecoder(os.NewFile(planDescriptor, "plan")).Decode(&sp); err != nil {
		fmt.Fprintf(out, "read the plan: %v", err)
		return exitError
	}
	var gate [1]byte
	if n, _ := os.NewFile(gateDescriptor, "gate").Read(gate[:]); n != 1 {
		return exitError // the supervisor is gone: nobody would know how the program ends
	}
	program, argv, err := become(&sp)
	if err != nil {
		fmt.Fprintf(out, "%v", err)
		return exitError
	}
	if sp.Function != "" {
		// dup2 leaves the copy open across exec.
		if err := syscall.Dup2(stageData, dataDescriptor); err != nil {
			fmt.Fprintf(out, "data: %v", err)
			return exitError
		}
	}
	fmt.Fprint(out, aboutToStart)
	err = syscall.Exec(program, argv, sp.Plan.Environment)
	if errors.Is(err, syscall.E2BIG) {
		err = tooBig(argv, sp.Plan.Environment)
	}
	fmt.Fprintf(out, "%.200s: %v", argv[0], err)
	return exitError
}

// become applies the plan to the process and returns what it is to execute.
func become(sp *stagePlan) (program string, argv []string, err error) {
	p := sp.Plan
	syscall.Umask(p.Umask)
	if err := syscall.Chdir(p.Directory); err != nil {
		return "", nil, fmt.Errorf("sandbox: %w", err)
	}
	for _, l := range p.Rlimits {
		which, want, err := limitOf(l)
		if err == nil {
			err = syscall.Setrlimit(which, want)
		}
		if err != nil {
			return "", nil, fmt.Errorf("limit %s: %w", l.Name, err)
		}
	}
	if err := process.Become(p.User); err != nil {
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

// warmStart has nothing to do: a stage has everything to do itself.
func warmStart() {}

func argumentLimits() string { return "what the system takes" }
