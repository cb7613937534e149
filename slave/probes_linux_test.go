package slave

import (
	"errors"
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func TestACheckIsMadeInTheNetworkOfItsTask(t *testing.T) {
	isolationtest.NeedsRoot(t)
	type inside struct {
		thread int
		ln     net.Listener
		err    error
	}
	ready, done, gone := make(chan inside), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		onThread(func() { // a thread with a network of its own stands in for a container
			var in inside
			in.thread = unix.Gettid()
			if in.err = unix.Unshare(unix.CLONE_NEWNET); in.err == nil {
				if in.err = loopbackUp(); in.err == nil {
					in.ln, in.err = net.Listen("tcp4", "127.0.0.1:0")
				}
			}
			ready <- in
			<-done
		})
	}()
	in := <-ready
	defer func() { close(done); <-gone }()
	require.NoError(t, in.err)
	defer in.ln.Close()
	conn, err := dialTask(t.Context(), in.thread, portOf(t, in.ln.Addr()))
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	outside, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer outside.Close()
	if portOf(t, outside.Addr()) != portOf(t, in.ln.Addr()) {
		_, err = dialTask(t.Context(), in.thread, portOf(t, outside.Addr()))
		require.Error(t, err, "the machine's network is another one")
		require.False(t, errors.Is(err, errNoFault))
	}
	own, err := os.Readlink("/proc/thread-self/ns/net")
	require.NoError(t, err)
	for range 100 { // no thread is left in there for others to use
		link, err := os.Readlink("/proc/thread-self/ns/net")
		require.NoError(t, err)
		require.Equal(t, own, link)
		runtime.Gosched()
	}
	_, err = dialTask(t.Context(), 1<<30, 80)
	require.ErrorIs(t, err, errNoFault, "who has ended is not at fault")
}

// loopbackUp brings the loopback of the thread's network up.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

func TestATaskWithANetworkOfItsOwnIsCheckedInThere(t *testing.T) {
	isolationtest.NeedsRoot(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Leave: true})
	<-s.Ready()
	task := offer.Task{ID: "t-1", SlaveID: "s-1", Function: "listen", Data: []byte("127.0.0.1:8080"), Network: offer.NetworkNone}
	task.Health = soon(offer.HealthCheck{Check: often(offer.CheckTCP)})
	task.Health.Port, task.Health.Grace = 8080, offer.MaxCheckTime // it may take its time to listen
	m.send(launch(task))
	st := m.until("t-1", offer.ReasonTaskHealthCheckStatusUpdated)
	require.True(t, *st.Healthy, st.Message)
	s.stop()
}
