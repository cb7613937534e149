package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheQuickstartRuns goes through the page line by line. The six machines are six addresses of the loopback, and the services are started
// by the test from the files that deploy/install has laid down.
func TestTheQuickstartRuns(t *testing.T) {
	q := &quickstart{t: t, dir: folder(t), net: fmt.Sprintf("127.%d.%d.", 64+os.Getpid()>>8&63, os.Getpid()&255), nodes: map[string]*node{}}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("the quickstart needs openssl: not run")
	}
	probe, err := net.Listen("tcp", q.net+"11:5050")
	if err != nil {
		t.Skipf("the quickstart needs the ports 5050 and 5051 of loopback addresses, which somebody has: %v", err)
	}
	require.NoError(t, probe.Close())
	q.here = strings.NewReplacer("192.168.56.", q.net, " kit", " "+filepath.Join(q.dir, "kit"), "kit/", filepath.Join(q.dir, "kit")+"/")
	for _, line := range commandsOf(t, "docs/quickstart.md") {
		t.Log(line)
		q.run(line)
	}
	require.Equal(t, []string{"dev", "run", "members", "members", "run"}, q.ran)
	require.Len(t, q.nodes, 6)
}

type quickstart struct {
	t     *testing.T
	dir   string
	net   string // the first three numbers of the machines' addresses
	here  *strings.Replacer
	one   []string // flags of clients of the one machine, once it runs
	nodes map[string]*node
	ran   []string
	last  []string // the last meros run
}

func (q *quickstart) run(line string) {
	t := q.t
	switch words := strings.Fields(line); {
	case words[0] == "meros":
		q.ran = append(q.ran, words[1])
		q.meros(line)
	case line == "go install ./cmd/meros": // which the README's test does
		require.FileExists(t, "main.go")
	case strings.HasPrefix(line, "CGO_ENABLED=0 go build -o kit/meros "):
		shell(t, "CGO_ENABLED=0 go list -deps "+words[len(words)-1])
		shell(t, "cp "+binary+" "+filepath.Join(q.dir, "kit/meros"))
	case words[0] == "mkdir", words[0] == "deploy/certs":
		shell(t, q.here.Replace(line))
	case words[0] == "deploy/install":
		first := map[string]int{"master": 11, "slave": 14}[words[2]]
		require.Equal(t, fmt.Sprint("192.168.56.", first), words[3])
		for i := range 3 {
			q.install(words[2], fmt.Sprint("192.168.56.", first+i), words)
		}
	case line == "systemctl stop meros-master":
		q.stopLeader()
	case strings.HasPrefix(line, "docker compose -f deploy/compose.yaml "):
		if _, command, ok := strings.Cut(line, " exec master-1 meros "); ok {
			require.NoError(t, parses(strings.Fields(command)))
		}
	case line == "cd deploy && vagrant up":
		require.FileExists(t, filepath.Join(root, "deploy/Vagrantfile"))
	default:
		t.Errorf("nothing is known about this command: %s", line)
	}
}

// install runs the script for one of the machines, and starts its service.
func (q *quickstart) install(role, address string, words []string) {
	t := q.t
	machine := filepath.Join(q.dir, address)
	shell(t, q.here.Replace(fmt.Sprintf("%s kit %s %s %s", words[0], role, address, words[4])), "DESTDIR="+machine)
	text, err := os.ReadFile(filepath.Join(machine, "etc/systemd/system/meros-"+role+".service"))
	require.NoError(t, err)
	values, err := unit(string(text))
	require.NoError(t, err)
	env, err := os.ReadFile(filepath.Join(machine, values["EnvironmentFile"][0]))
	require.NoError(t, err)
	fill := []string{"%S", filepath.Join(machine, "var/lib"), "%d", filepath.Join(machine, "etc/meros"), "/etc/meros/", filepath.Join(machine, "etc/meros") + "/",
		"/usr/local/bin", filepath.Join(machine, "usr/local/bin")}
	for line := range strings.Lines(string(env)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		require.True(t, ok, line)
		fill = append(fill, "${"+name+"}", value)
	}
	args := execOf(t, values, strings.NewReplacer(fill...))
	st, err := os.Stat(args[0])
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), st.Mode().Perm())
	key, err := os.Stat(filepath.Join(machine, "etc/meros/node.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), key.Mode().Perm())
	require.NoError(t, os.MkdirAll(filepath.Join(machine, "var/lib"), 0o755))
	for dir := machine; dir != filepath.Dir(q.dir); dir = filepath.Dir(dir) { // tasks of a slave that runs as root run as nobody
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	q.nodes[address] = startNode(t, q.dir, role+"-"+address, args[1:]...)
}

// meros runs a command of the page: first on the one machine, once there are six on those.
func (q *quickstart) meros(line string) {
	t := q.t
	args := splitWords(t, strings.Replace(q.here.Replace(line), "$(hostname)", "here", 1))[1:]
	switch args[0] {
	case "dev":
		free := ports(t, 2)
		q.one = []string{"--master", free[0]}
		dev := startNode(t, q.dir, "dev", append(args, "--listen", free[0], "--slave-listen", free[1], "--work-dir", filepath.Join(q.dir, "dev"))...)
		eventually(t, "the one machine is there", func() bool { return len(list[memberRow](t, append([]string{"members"}, q.one...)...)) == 2 })
		t.Cleanup(dev.kill)
	case "members":
		want := 6
		if !slices.Contains(args, "--master") {
			args, want = append(args, q.one...), 2
		}
		eventually(t, "all are there", func() bool {
			rows := list[memberRow](t, args...)
			leaders := slices.DeleteFunc(slices.Clone(rows), func(m memberRow) bool { return !m.Leader })
			return len(rows) == want && len(leaders) == 1
		})
	case "run":
		if !slices.Contains(args, "--master") {
			args = slices.Insert(args, 1, q.one...)
		} else {
			q.last = args
		}
		out, errs, code := meros(t, args...)
		require.Zero(t, code, errs)
		require.True(t, strings.HasPrefix(out, "hello"), out)
	default:
		t.Errorf("nothing is known about this command: %s", line)
	}
}

// stopLeader ends the leading master as systemd does, and runs the last command again, as the page says.
func (q *quickstart) stopLeader() {
	t := q.t
	stop := slices.Index(q.last, "--cpus")
	clients := append([]string{"members"}, q.last[1:stop]...)
	var led string
	eventually(t, "one of them leads", func() bool {
		for _, m := range list[memberRow](t, clients...) {
			if m.Leader {
				led = m.Address
			}
		}
		return led != ""
	})
	host, _, err := net.SplitHostPort(led)
	require.NoError(t, err)
	n := q.nodes["192.168.56."+strings.TrimPrefix(host, q.net)]
	require.NotNil(t, n, led)
	n.signal(syscall.SIGTERM)
	require.Zero(t, n.exit())
	out, errs, code := meros(t, q.last...)
	require.Zero(t, code, errs)
	require.True(t, strings.HasPrefix(out, "hello"), out)
}
