package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/namespace"
)

// initName is what the first process of a container with namespaces of its own is called.
const initName = "meros-init"

// apart says how the first process of a container with namespaces of its own is started.
func apart(plan *isolation.Plan, attr *syscall.SysProcAttr) error {
	n := plan.Namespaces
	if n == nil {
		if plan.Rootfs != "" || len(plan.Mounts) > 0 {
			return errors.New("a root folder of its own and volumes need namespaces, and the container has none (allowed: with the isolator namespace)")
		}
		return nil
	}
	attr.Cloneflags |= unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if n.Network {
		attr.Cloneflags |= unix.CLONE_NEWNET
	}
	return nil
}

// initial is the first process of a container with namespaces of its own. It makes them what the plan says, starts the task, passes on
// what signals it gets, reaps whatever ends, and ends when the task has; then the system ends whatever is left. How the task ended it tells
// where it reports, since such a process cannot end by a signal of its own.
func initial(sp *stagePlan, out *os.File) int {
	guard(initName)
	if err := furnish(sp.Plan); err != nil {
		fmt.Fprintf(out, "%v", err)
		return 126
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	task, err := startTask(sp, out)
	if err != nil {
		fmt.Fprintf(out, "%v", err)
		return 126
	}
	forgetOutput()
	// From here on a task may take all of the threads and memory that it can get: nothing new is needed.
	debug.SetGCPercent(-1)
	go func() {
		for sig := range signals {
			_ = syscall.Kill(-task, sig.(syscall.Signal))
		}
	}()
	fmt.Fprint(out, isStarted)
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		if err == nil && pid == task {
			_, _ = out.Write([]byte{byte(ws), byte(ws >> 8)})
			return 0
		}
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return 126
		}
	}
}

// furnish makes the namespaces what the plan says.
func furnish(p *isolation.Plan) error {
	if p.Namespaces.Network {
		if err := raiseLoopback(); err != nil {
			return fmt.Errorf("network: loopback: %w", err)
		}
	}
	return namespace.Furnish(p)
}

func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// startTask starts the task from a thread that has become what the task is to be, and ends with that.
func startTask(sp *stagePlan, out *os.File) (pid int, err error) {
	done := make(chan struct{})
	go inThread(func() {
		defer close(done)
		pid, err = startInThread(sp, out)
	})
	<-done
	return pid, err
}

// inThread runs f in a thread that ends with it, and is not the one that stands for the process.
func inThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		inThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}

func startInThread(sp *stagePlan, out *os.File) (int, error) {
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // so that working directory and umask are this thread's
		return 0, err
	}
	program, argv, err := become(sp)
	if err != nil {
		return 0, err
	}
	if err := resetSignals(); err != nil {
		return 0, fmt.Errorf("signals: %w", err)
	}
	files := []uintptr{0, 1, 2}
	if sp.Function != "" {
		files = append(files, stageData)
	}
	fmt.Fprint(out, aboutToStart)
	pid, err := syscall.ForkExec(program, argv, &syscall.ProcAttr{Env: sp.Plan.Environment, Files: files, Sys: &syscall.SysProcAttr{Setsid: true, Setctty: sp.Terminal}})
	if err != nil {
		return 0, execError(argv, sp.Plan.Environment, err)
	}
	return pid, nil
}

// forgetOutput leaves the task's output to the task, so that its end is seen.
func forgetOutput() {
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return // a root folder without: then the output is kept open for as long as the container lives
	}
	for fd := range 3 {
		_ = unix.Dup3(null, fd, 0)
	}
	_ = unix.Close(null)
}
