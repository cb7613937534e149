//go:build linux

package lab

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Config says what a lab is to do.
type Config struct {
	Seed uint64        // of the list of faults; with an odd one everybody speaks TLS, with an even one plain text
	Time time.Duration // faults begin until then; at least one does
	// Bound is how long after the end of a fault everything must be well again. Defaults to four minutes: masters and slaves may take 75 s to
	// notice that a connection is dead.
	Bound time.Duration
	Kinds []Kind    // the kinds of faults to have, for a closer look at one; defaults to all
	Keep  string    // a folder for logs, ledgers and notes when something is wrong; defaults to none
	Out   io.Writer // gets a line for each fault. Required
}

// A Result is one fault and how long after its end everything was well again.
type Result struct {
	Fault     Fault
	Recovered time.Duration
}

// A Report is what came of it.
type Report struct {
	Results []Result
	Tasks   int            // that the frameworks have launched
	Started int            // of them, by their own notes
	Ends    map[string]int // what the frameworks were told, by state
	Wrong   []string       // what must not be; empty for a good run
}

// Worst is the longest recovery.
func (r *Report) Worst() (worst time.Duration) {
	for _, x := range r.Results {
		worst = max(worst, x.Recovered)
	}
	return worst
}

// A lab is one cluster.
type lab struct {
	cfg       Config
	claim     *claim
	binary    string
	self      string // the program that frameworks are
	net       *network
	observer  *observer
	processes map[string]*process
	begun     time.Time
	troubles  []trouble

	mu    sync.Mutex
	moved map[string]bool
	born  map[string]bool // masters that were started before
	wrong []string
}

// Missing says what this machine lacks for a lab, or nothing.
func Missing() string {
	if os.Geteuid() != 0 {
		return "root"
	}
	for _, program := range []string{"ip", "nft", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			return "the program " + program + " (Debian's packages iproute2 and nftables)"
		}
	}
	return ""
}

// Run makes the lab, lets faults come until the time is over or something is wrong, and removes everything. The error is about the lab itself;
// what is wrong with the cluster is in the report.
func Run(ctx context.Context, cfg Config) (report *Report, err error) {
	if cfg.Bound == 0 {
		cfg.Bound = 4 * time.Minute
	}
	for _, k := range cfg.Kinds {
		if all := slices.Concat(everywhere, seldom); !slices.Contains(all, k) {
			return nil, fmt.Errorf("lab: %q is no kind of fault: there are %v", k, all)
		}
	}
	if err := Sweep(); err != nil {
		return nil, err
	}
	c, err := newClaim()
	if err != nil {
		return nil, err
	}
	l := &lab{cfg: cfg, claim: c, processes: map[string]*process{}, moved: map[string]bool{}, born: map[string]bool{}, begun: time.Now()}
	defer func() {
		l.stopAll()
		err = errors.Join(err, c.remove())
	}()
	if err := l.build(ctx); err != nil {
		return nil, err
	}
	report = &Report{}
	if err := l.run(ctx, report); err != nil {
		return nil, err
	}
	l.count(report)
	return report, nil
}

func (l *lab) printf(format string, args ...any) {
	fmt.Fprintf(l.cfg.Out, "%6.1fs  %s\n", time.Since(l.begun).Seconds(), fmt.Sprintf(format, args...))
}

func (l *lab) blame(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.wrong, what) {
		l.wrong = append(l.wrong, what)
	}
}

func (l *lab) blamed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.wrong)
}

func (l *lab) tls() bool { return l.cfg.Seed%2 == 1 }

func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.claim.dir}, parts...)...)
}

// build makes everything that the processes need.
func (l *lab) build(ctx context.Context) (err error) {
	if l.self, err = os.Executable(); err != nil {
		return err
	}
	l.binary = l.path("meros")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", l.binary, "github.com/meros-project/meros/cmd/meros")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	if l.net, err = newNetwork(l.claim.prefix()); err != nil {
		return err
	}
	if err := makeJournal(l.path("journal")); err != nil {
		return err
	}
	if err := l.certificates(); err != nil {
		return err
	}
	for _, name := range []string{smallMaster, smallSlave} {
		if err := os.Mkdir(l.path(name), 0o755); err != nil {
			return err
		}
		if err := tool("", "mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "meros-lab", l.path(name)); err != nil {
			return err
		}
	}
	for _, name := range nodeNames() {
		l.processes[name] = &process{name: name, space: l.net.node(name), log: l.path(name + ".log"), blame: l.blame,
			command: func() []string { return l.command(name) }}
	}
	return nil
}

func (l *lab) certificates() error {
	var config *tls.Config
	if l.tls() {
		a, err := newAuthority(l.claim.dir)
		if err != nil {
			return err
		}
		for name, addresses := range allAddresses() {
			if err := a.node(name, addresses); err != nil {
				return err
			}
		}
		if err := a.node("observer", []string{bridgeAddress}); err != nil {
			return err
		}
		if config, err = tlsConfig(l.path("ca.pem"), l.path("observer.pem"), l.path("observer.key")); err != nil {
			return err
		}
	}
	l.observer = newObserver(l.net.bridge, config)
	return nil
}

// security are the flags of a node.
func (l *lab) security(name string) []string {
	if !l.tls() {
		return []string{"--insecure"}
	}
	return []string{"--tls-ca", l.path("ca.pem"), "--tls-cert", l.path(name + ".pem"), "--tls-key", l.path(name + ".key")}
}

// address is where a node listens now.
func (l *lab) address(name string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	port := map[byte]string{'m': ":5050", 's': ":5051"}[name[0]]
	return address(name, l.moved[name]) + port
}

func (l *lab) masterAddresses() []string {
	var all []string
	for _, m := range names("m", masters) {
		all = append(all, l.address(m))
	}
	return all
}

// command is the command line of a node.
func (l *lab) command(name string) []string {
	all := l.masterAddresses()
	switch name[0] {
	case 'm':
		line := []string{l.binary, "master", "--listen", l.address(name), "--work-dir", l.path(name)}
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.born[name] {
			l.born[name] = true
			line = append(line, "--masters", strings.Join(all, ","))
		}
		return append(line, l.security(name)...)
	case 's':
		return append([]string{l.binary, "slave", "--listen", l.address(name), "--work-dir", l.path(name), "--hostname", name, "--master", strings.Join(all, ","),
			"--resources", "cpus:2;mem:1024;disk:1024", "--cgroup-root", l.claim.name, "--ready-supervisors", "1"}, l.security(name)...)
	}
	spec := frameworkSpec{Name: name, Ledger: l.ledger(name), Journal: l.path("journal"), Masters: all}
	if l.tls() {
		spec.CA, spec.Cert, spec.Key = l.path("ca.pem"), l.path(name+".pem"), l.path(name+".key")
	}
	told, err := json.Marshal(spec)
	if err != nil {
		panic(err) // it is made of strings
	}
	return []string{l.self, childArgument, string(told)}
}

func (l *lab) ledger(name string) string { return l.path(name + ".ledger") }

// stopAll ends what runs and does not wait for its good will.
func (l *lab) stopAll() {
	var all sync.WaitGroup
	for _, p := range l.processes {
		all.Go(func() {
			p.kill()
			p.wg.Wait()
		})
	}
	all.Wait()
}
