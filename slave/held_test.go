package slave

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/disk"
	"github.com/meros-project/meros/isolation/ports"
	"github.com/meros-project/meros/offer"
)

func TestATaskThatFillsTheDiskFailsWithTheNumbers(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process"}}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	const eats = "head -c 3145728 /dev/zero > data; exec sleep 1000"
	m.send(launch(sized(command("early", eats), "cpus:0.1;disk:2")))
	m.state("early", offer.Running)
	s.stop()

	// One was started before, by a slave that held nobody to anything.
	cfg.Isolators, cfg.Disk = []string{"process", "disk"}, disk.Config{Every: 30 * time.Millisecond, Unasked: 2 << 20}
	s = startSlave(t, cfg)
	take(t, "a re-registration", m.register)
	over := func(id offer.TaskID) {
		st := m.state(id, offer.Failed)
		require.Equal(t, offer.ReasonContainerLimitationDisk, st.Reason)
		require.Contains(t, st.Message, "disk limit of 2.0 MiB exceeded: the sandbox holds ")
		require.InDelta(t, 2550, int64(st.Limitation.Disk()), 550, "it may have been found while it still wrote")
	}
	over("early")
	for _, resources := range []string{"cpus:0.1;disk:2", "cpus:0.1"} {
		id := offer.TaskID(fmt.Sprint("t-", len(resources)))
		m.send(launch(sized(command(id, "sleep 0.3; "+eats), resources)))
		m.state(id, offer.Running)
		over(id)
	}
	m.send(launch(sized(command("enough", eats), "cpus:0.1;disk:4")))
	m.state("enough", offer.Running)
	m.send(&message.Kill{Framework: "f-1", Task: "enough"})
	m.state("enough", offer.Killing)
	m.state("enough", offer.Killed)
	s.stop()
}

func TestATaskThatListensOnAPortOfSomebodyElsesIsLoggedOrKilled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skipf("%s does not tell who listens on which port", runtime.GOOS)
	}
	for _, enforce := range []bool{false, true} {
		network, log := memtransport.New(), &lines{}
		m := newMaster(t, network, "master:5050", 1)
		dir := workDir(t)
		s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process", "ports"},
			Ports: ports.Config{Every: 30 * time.Millisecond, Enforce: enforce}, Logger: slog.New(slog.NewTextHandler(log, nil))})
		take(t, "a registration", m.register)
		m.send(launch(sized(offer.Task{ID: "t-1", Function: "listen", Data: []byte("127.0.0.1:0")}, "cpus:0.1;ports:[31000-31001]")))
		m.state("t-1", offer.Running)
		port := func() string {
			b, _ := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1/stdout"))
			return strings.TrimSpace(string(b))
		}
		if enforce {
			st := m.state("t-1", offer.Failed)
			require.Equal(t, offer.ReasonContainerLimitation, st.Reason)
			require.Contains(t, st.Message, "listens on TCP ports that it was not given: "+port()+" (process ")
			require.Contains(t, st.Message, "given: [31000-31001]")
			require.Equal(t, "["+port()+"-"+port()+"]", st.Limitation.Ports().String())
		} else {
			eventually(t, "it is logged", func() bool {
				return len(log.with("listens on TCP ports that it was not given: "+port()+" (")) == 1
			})
			m.send(&message.Kill{Framework: "f-1", Task: "t-1"})
			m.state("t-1", offer.Killing)
			m.state("t-1", offer.Finished) // its function returns nil
		}
		s.stop()
	}
}
