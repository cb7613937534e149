package ports

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestMain makes a copy of the test program a process that listens, or one that starts such a process and ends.
func TestMain(m *testing.M) {
	switch os.Getenv("MEROS_TEST_PORTS") {
	case "listen":
		ln, err := net.Listen(os.Getenv("MEROS_TEST_NETWORK"), os.Getenv("MEROS_TEST_ADDRESS"))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(ln.Addr().(*net.TCPAddr).Port, os.Getpid())
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	case "fork":
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "MEROS_TEST_PORTS=listen")
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if cmd.Start() != nil {
			os.Exit(1)
		}
		_ = cmd.Wait()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// listening starts a process and returns its number, with the port and the number of the process that listens. It ends with the test.
func listening(t *testing.T, how, network, address string, change func(*exec.Cmd)) (pid int, port uint16, listener int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MEROS_TEST_PORTS="+how, "MEROS_TEST_NETWORK="+network, "MEROS_TEST_ADDRESS="+address)
	if change != nil {
		change(cmd)
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	p, l, _ := strings.Cut(strings.TrimSpace(line), " ")
	n, err := strconv.ParseUint(p, 10, 16)
	require.NoError(t, err, line)
	listener, err = strconv.Atoi(l)
	require.NoError(t, err, line)
	return cmd.Process.Pid, uint16(n), listener
}

func newIsolator(t testing.TB, cfg Config) *Isolator {
	if cfg.Every == 0 {
		cfg.Every = 50 * time.Millisecond
	}
	i, err := New(cfg)
	require.NoError(t, err)
	return i
}

func TestContract(t *testing.T) {
	isolationtest.TestIsolator(t, func(t *testing.T) isolation.Isolator { return newIsolator(t, Config{Enforce: true}) }, func(t *testing.T) int {
		pid, _, _ := listening(t, "listen", "tcp", "127.0.0.1:0", nil)
		return pid
	})
}

func watch(t *testing.T, i *Isolator, container string) <-chan isolation.Limitation {
	ctx, cancel := context.WithCancel(context.Background())
	out := make(chan isolation.Limitation, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l, err := i.Watch(ctx, container); err == nil {
			out <- l
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return out
}

func start(t *testing.T, i *Isolator, container, resources string, pid int) {
	spec := isolationtest.Spec(t, container, "true")
	spec.Resources = resource.Must(resources)
	require.NoError(t, i.Prepare(t.Context(), spec, &isolation.Plan{}))
	require.NoError(t, i.Attach(t.Context(), container, pid))
}

func TestAContainerThatListensOnAPortOfNobodysIsKilledWhereThatIsAsked(t *testing.T) {
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "tcp": ":0"} {
		t.Run(network, func(t *testing.T) {
			i := newIsolator(t, Config{Enforce: true})
			pid, port, listener := listening(t, "fork", network, address, nil)
			start(t, i, "c-1", "cpus:1;ports:[1-2]", pid)
			found := watch(t, i, "c-1")
			select {
			case l := <-found:
				require.Equal(t, offer.ReasonContainerLimitation, l.Reason)
				require.Equal(t, fmt.Sprintf(`listens on TCP ports that it was not given: %d (process %d, "ports.test"); given: [1-2]`, port, listener), l.Message)
				require.True(t, l.Resources.Ports().Has(uint64(port)))
				require.Equal(t, uint64(1), l.Resources.Ports().Count())
				over, cancel := context.WithCancel(t.Context())
				cancel()
				again, err := i.Watch(over, "c-1")
				require.NoError(t, err)
				require.Equal(t, l, again)
			case <-time.After(30 * time.Second):
				require.Fail(t, "nothing was found")
			}
			require.NoError(t, i.Cleanup(t.Context(), "c-1"))
		})
	}
}

type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestByDefaultItIsLoggedOnceAndAGivenPortNever(t *testing.T) {
	log := &lines{}
	i := newIsolator(t, Config{Logger: slog.New(slog.NewTextHandler(log, nil)), Every: time.Nanosecond})
	pid, port, _ := listening(t, "listen", "tcp", "127.0.0.1:0", nil)
	start(t, i, "right", fmt.Sprintf("ports:[%d-%d]", port, port), pid)
	start(t, i, "wrong", "cpus:1", pid)
	for range 3 {
		i.lookAt("right")
		i.lookAt("wrong")
		i.lookAt("unheard-of")
	}
	require.Equal(t, 1, strings.Count(log.String(), "\n"), log)
	require.Contains(t, log.String(), "container=wrong")
	require.Contains(t, log.String(), "given: none")
	require.Nil(t, i.found("wrong"), "it is not killed")

	require.NoError(t, i.Update(t.Context(), "right", resource.Must("cpus:1"), nil))
	require.NoError(t, i.Update(t.Context(), "unheard-of", resource.Must("cpus:1"), nil))
	i.lookAt("right")
	require.Contains(t, log.String(), "container=right", "its ports were taken away")
}

func TestProcessesOfOthersAndOtherNetworksAreNotTheContainers(t *testing.T) {
	i := newIsolator(t, Config{Every: time.Nanosecond, Enforce: true})
	_, _, _ = listening(t, "listen", "tcp", "127.0.0.1:0", nil) // a sibling: child of the same process, which is the slave itself
	sleeper := exec.Command("sleep", "1000")
	require.NoError(t, sleeper.Start())
	defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()
	start(t, i, "quiet", "cpus:1", sleeper.Process.Pid)
	i.lookAt("quiet")
	require.Nil(t, i.found("quiet"))

	isolationtest.NeedsRoot(t)
	pid, _, _ := listening(t, "listen", "tcp4", "0.0.0.0:0", func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	})
	start(t, i, "elsewhere", "cpus:1", pid)
	i.lookAt("elsewhere")
	require.Nil(t, i.found("elsewhere"))
}

func TestAContainerOfAnEarlierRunIsLookedAtWhenItIsAttachedAgain(t *testing.T) {
	i := newIsolator(t, Config{Every: time.Nanosecond, Enforce: true})
	pid, port, _ := listening(t, "listen", "tcp", "127.0.0.1:0", nil)
	require.NoError(t, i.Recover(t.Context(), []isolation.Recovered{{Spec: isolationtest.Spec(t, "c-1", "true"), PID: pid},
		{Spec: &isolation.Spec{Container: "unreadable"}, PID: pid}}))
	for _, c := range []string{"c-1", "unreadable"} {
		i.lookAt(c)
		require.Nil(t, i.found(c))
		require.NoError(t, i.Attach(t.Context(), c, pid))
		i.lookAt(c)
	}
	require.Contains(t, i.found("c-1").Message, fmt.Sprint(port))
	require.Nil(t, i.found("unreadable"), "what it was given is not known")
	require.NoError(t, i.Attach(t.Context(), "c-1", 1<<30), "one that has ended already")
}

// What has left its parent and its session is handed to the supervisor, of which it is still a descendant.
func TestWhatHasLeftItsParentIsStillTheContainers(t *testing.T) {
	pid, _, listener := listening(t, "fork", "tcp", "127.0.0.1:0", nil)
	first, err := process.Identify(pid)
	require.NoError(t, err)
	me, err := process.Identify(os.Getpid())
	require.NoError(t, err)
	gone := process.ID{PID: first.PID, Start: first.Start + 1, Boot: first.Boot}
	table := process.Processes()
	require.Equal(t, []int{pid, listener}, sorted(members(table, []process.ID{first})))
	require.Contains(t, members(table, []process.ID{gone, me}), listener, "by way of the supervisor")
	require.Empty(t, members(table, []process.ID{gone}), "its number is another's now")
	parent, err := process.Parent(listener)
	require.NoError(t, err)
	require.Equal(t, first, parent)
	require.Equal(t, []process.ID{first}, rootsOf(pid), "a slave is not its own container")
	require.Len(t, rootsOf(listener), 2)
}

func sorted(pids []int) []int {
	if len(pids) == 2 && pids[0] > pids[1] {
		pids[0], pids[1] = pids[1], pids[0]
	}
	return pids
}

func TestTheKernelsTableIsReadWhateverItHolds(t *testing.T) {
	into := map[uint64]uint16{}
	readListening(strings.NewReader(`  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 87 1 00000000b5bd01b2 100 0 0 10 0
   1: 0100007F:9C7E 0100007F:01BB 01 00000000:00000000 00:00000000 00000000     0        0 88 1 000000002840a5fc
   2: 00000000:FFFFF 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 89 1 000000002840a5fc
   3: 0A
   4: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 90 1
`), into)
	require.Equal(t, map[uint64]uint16{87: 2024, 90: 22}, into)
}

func TestManyPortsAreNamedInPart(t *testing.T) {
	var all []listener
	for n := range 20 {
		all = append(all, listener{port: uint16(100 + 2*n), pid: 7, name: "x"})
	}
	l := limitation(all, nil)
	require.Contains(t, l.Message, `114 (process 7, "x"), and 12 more; given: none`)
	require.Equal(t, uint64(20), l.Resources.Ports().Count())
}

func TestAConfigThatCannotBeUsedNamesTheField(t *testing.T) {
	_, err := New(Config{Every: -1})
	require.ErrorContains(t, err, "Every is -1ns")
}
