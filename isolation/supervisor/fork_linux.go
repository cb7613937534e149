package supervisor

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
)

// start starts the process: a fork of the calling one.
func (b *beginning) start() (pid int, err error) {
	if n := b.plan; n.Namespaces == nil && (n.Rootfs != "" || len(n.Mounts) > 0) {
		return 0, errors.New("a root folder of its own and volumes need namespaces, and the container has none (allowed: with the isolator namespace)")
	}
	r := newRoll(b.plan)
	defer r.close()
	b.explain = r.explain
	files := append(slices.Clone(b.streams), b.gate, b.report)
	data := uintptr(len(files))
	if b.function != "" {
		files = append(files, b.data)
	}
	others := uintptr(len(files))
	r.signals()
	r.add(mustWork, unix.SYS_SETSID, "session")
	if b.plan.Namespaces != nil {
		return b.startApart(r, files, data)
	}
	inherited := len(files)
	if b.enter != nil {
		files = append(files, b.enter.files...)
		inherited = len(files)
	} else {
		files = append(files, r.cgroups()...)
	}
	if err := r.descriptors(files, b.opener); err != nil {
		return 0, err
	}
	r.join(inherited, len(files))
	r.add(letsIn, unix.SYS_READ, "gate", forkGate, address(&r.gateByte), 1)
	if b.enter != nil {
		for i, name := range b.enter.names {
			r.add(mustWork, unix.SYS_SETNS, "enter the container's "+name+" namespace", others+uintptr(i), roomFlag(name))
		}
	}
	if err := r.become(b, data); err != nil {
		return 0, err
	}
	if b.enter != nil && b.enter.pid != nil {
		pid, err = b.enter.fork(r)
	} else {
		pid, err = r.fork(0)
	}
	runtime.KeepAlive(files)
	return pid, err
}

// become makes of the process what the plan says, and executes the program. It is the leader of a session.
func (r *roll) become(b *beginning, data uintptr) error {
	if b.terminal {
		r.add(mustWork, unix.SYS_IOCTL, "terminal", 0, unix.TIOCSCTTY, 0)
	}
	r.add(mustWork, unix.SYS_UMASK, "umask", uintptr(r.plan.Umask))
	dir, err := r.text(r.plan.Directory)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	r.add(mustWork, unix.SYS_CHDIR, "sandbox", dir)
	for _, l := range r.plan.Rlimits {
		if err := r.limit(l); err != nil {
			return fmt.Errorf("limit %s: %w", l.Name, err)
		}
	}
	if b.function != "" { // dup3 leaves the copy open across exec
		r.add(mustWork, unix.SYS_DUP3, "data", data, dataDescriptor, 0)
	}
	if err := r.confine(); err != nil {
		return err
	}
	r.add(mustWork, unix.SYS_RT_SIGPROCMASK, "signals", unix.SIG_SETMASK, address(&r.noMask), 0, signalSet)
	r.add(mustWork, unix.SYS_WRITE, "report", forkReport, address(&r.starting), 1)
	return r.execute(b.function)
}

func (r *roll) limit(l isolation.Rlimit) error {
	which, want, err := limitOf(l)
	if err != nil {
		return err
	}
	r.keep = append(r.keep, want)
	r.add(mustWork, unix.SYS_PRLIMIT64, "limit "+l.Name, 0, uintptr(which), address(want), 0)
	return nil
}

// confine takes away the process's rights. The filter of calls comes first: later a process that may gain privileges is not allowed to have
// one. It denies nothing of what follows.
func (r *roll) confine() error {
	p := r.plan
	if p.NoNewPrivileges {
		r.add(mustWork, unix.SYS_PRCTL, "ban new privileges", unix.PR_SET_NO_NEW_PRIVS, 1)
	}
	if p.Seccomp != nil {
		prog, err := process.CompileFilter(*p.Seccomp)
		if err != nil {
			return err
		}
		r.keep = append(r.keep, prog)
		r.add(mustWork, unix.SYS_SECCOMP, "filter of system calls", unix.SECCOMP_SET_MODE_FILTER, 0, address(prog))
	}
	caps, err := process.CapabilityBits(p.Capabilities)
	if err != nil {
		return err
	}
	for _, c := range caps.Drop {
		r.add(mayFail, unix.SYS_PRCTL, "capabilities: bound", unix.PR_CAPBSET_DROP, uintptr(c))
	}
	if len(caps.Keep) > 0 {
		r.add(mustWork, unix.SYS_PRCTL, "capabilities: keep", unix.PR_SET_KEEPCAPS, 1)
	}
	r.assume(p.User)
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{}
	for i := range data {
		bits := uint32(caps.Bits >> (32 * i))
		data[i] = unix.CapUserData{Effective: bits, Permitted: bits, Inheritable: bits}
	}
	r.keep = append(r.keep, header, data)
	grant := fmt.Sprintf("capabilities: the slave cannot grant %s, which it does not have itself", strings.Join(p.Capabilities, ","))
	r.add(mustWork, unix.SYS_CAPSET, grant, address(header), address(data))
	r.add(mayFail, unix.SYS_PRCTL, "capabilities", unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	for _, c := range caps.Keep {
		r.add(mayFail, unix.SYS_PRCTL, "capabilities", unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c))
	}
	return nil
}

// assume makes the process a user, with its groups and no others. Nil means to stay.
func (r *roll) assume(u *isolation.User) {
	if u == nil {
		return
	}
	groups := make([]uint32, len(u.Groups)+1) // one more than needed, so that there is an address
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	r.keep = append(r.keep, groups)
	gid, uid, name := uintptr(u.GID), uintptr(u.UID), "user "+u.Name
	r.add(mustWork, sysSetgroups, name+": set groups", uintptr(len(u.Groups)), address(&groups[0]))
	r.add(mustWork, sysSetresgid, name+": set group", gid, gid, gid)
	r.add(mustWork, sysSetresuid, name+": set user", uid, uid, uid)
	for _, check := range []call{{number: sysGetegid, result: gid}, {number: sysGeteuid, result: uid}} {
		check.kind, check.what = mustGive, name+": has not become it"
		r.list = append(r.list, check)
	}
}

// execute adds the calls of which the first that works is the last that the process makes.
func (r *roll) execute(function string) error {
	p := r.plan
	program, argv := p.Program, p.Argv
	if function != "" {
		path, err := self()
		if err != nil {
			return err
		}
		p.Setenv(roleVariable, functionName)
		program, argv = path, []string{functionName, function}
	}
	if len(argv) == 0 {
		return errors.New("the plan names no program")
	}
	r.argv = argv
	if program == "" {
		program = argv[0]
	}
	args, err := r.texts(argv)
	if err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	environment, err := r.texts(p.Environment)
	if err != nil {
		return fmt.Errorf("environment: %w", err)
	}
	paths := []string{program}
	if r.looked = !strings.Contains(program, "/"); r.looked {
		paths = nil
		for _, dir := range filepath.SplitList(p.Getenv("PATH")) {
			if dir == "" {
				dir = "."
			}
			full := filepath.Join(dir, program)
			if !strings.Contains(full, "/") {
				full = "./" + full
			}
			paths = append(paths, full)
		}
	}
	for _, path := range paths {
		file, err := r.text(path)
		if err != nil {
			return fmt.Errorf("program: %w", err)
		}
		r.add(mayRun, unix.SYS_EXECVE, program, file, args, environment)
	}
	return nil
}

// warmStart does once what every start needs, so that the first is as quick as the next.
func warmStart() {
	go inThread(func() {})
	_, _ = process.CompileFilter(isolation.Seccomp{})
	_, _ = process.CapabilityBits(nil)
}

// argumentLimits says how much execve takes: a quarter of the stack's limit but at most 6 MiB, and of one string 32 pages.
func argumentLimits() string {
	total := uint64(6 << 20)
	var stack syscall.Rlimit
	if syscall.Getrlimit(unix.RLIMIT_STACK, &stack) == nil {
		total = min(total, max(uint64(stack.Cur)/4, 128<<10))
	}
	return fmt.Sprintf("%d, and for one %d", total, 32*unix.Getpagesize())
}
