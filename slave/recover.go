package slave

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/meros-project/meros/internal/runloop"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/fetch"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/isolation/supervisor"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// recover reads what the last run has left and makes the core that will carry on. Nothing is sent or started yet.
func (s *Slave) recover() (closers []func(), err error) {
	j, records, err := openJournal(s.folder.journal())
	if err != nil {
		return nil, err
	}
	s.journal = j
	opened := false
	defer func() {
		if !opened {
			_ = j.close(false)
		}
	}()
	j.answer = s.checkpointed
	if j.cut > 0 {
		s.cfg.Logger.Warn("the journal's end was not written to its end, and is left out", "file", j.path, "bytes", j.cut, "offset", j.size)
	}
	cluster, _ := survey(records)
	if s.cfg.Cluster != "" && cluster != "" && s.cfg.Cluster != cluster {
		return nil, fmt.Errorf("slave: WorkDir %s belongs to cluster %q (allowed: %q, or a new folder)", s.folder.dir, cluster, s.cfg.Cluster)
	}
	cfg, err := s.coreConfig()
	if err != nil {
		return nil, err
	}
	if s.core, err = slavecore.New(time.Now(), cfg, records); err != nil {
		return nil, err
	}
	s.id.Store(s.core.SlaveID())
	s.loop = runloop.New(runloop.Config[slavecore.Event, slavecore.Effect]{Core: s.core, Tick: slavecore.Tick{}, Perform: s.perform,
		Settled: s.settled})
	s.live.init()
	s.meter, _ = s.cfg.Runner.(isolation.Meter)
	s.makeVolumes(nil, destroyed(records)) // the last run may have ended before it had deleted them
	if s.runner = s.cfg.Runner; s.runner == nil {
		chain, err := s.chain()
		if err != nil {
			return nil, err
		}
		fetching := s.cfg.fetch()
		for _, iso := range chain {
			if held, ok := iso.(*cgroup.Isolator); ok && fetching.Holder == nil {
				fetching.Holder = held
			}
		}
		fetcher, err := fetch.New(fetching)
		if err != nil {
			return nil, fmt.Errorf("slave: %w", err)
		}
		for _, what := range fetcher.Lacks() {
			s.cfg.Logger.Warn("URIs of tasks are fetched", "missing", what)
		}
		chain = append(chain, fetcher) // last: it works as the user that the others have decided on
		s.meter = chain
		s.runner = supervisor.New(supervisor.Config{Dir: s.cfg.RuntimeDir, Memory: s.cfg.memoryDir(), Isolation: chain, Ready: s.cfg.ReadySupervisors,
			OutputBytes: s.cfg.OutputBytes, OutputFiles: s.cfg.OutputFiles, Logger: s.cfg.Logger})
	}
	if err := s.executors.open(s); err != nil {
		return nil, err
	}
	closers = append(closers, s.executors.close)
	_, known := survey(s.core.Compact()) // what is over is left out
	if err := s.runner.Open(known, s.containerEvent); err != nil {
		return closers, fmt.Errorf("slave: %w", err)
	}
	opened = true
	return closers, nil
}

// survey reads from the journal which cluster the folder belongs to, and which containers may still be there.
func survey(records []slavecore.Record) (cluster offer.ClusterID, containers []string) {
	for _, r := range records {
		switch r := r.(type) {
		case *slavecore.Registered:
			cluster = r.Cluster
		case *slavecore.Launched:
			if r.Container != "" {
				containers = append(containers, r.Container)
			}
		case *slavecore.ExecutorStarted:
			containers = append(containers, r.Container)
		}
	}
	return cluster, containers
}

// destroyed are the volumes that the journal says were destroyed, and that were not made again since. A volume that is merely unknown, say
// because the journal was lost, is none of them: it stays.
func destroyed(records []slavecore.Record) resource.Resources {
	had, gone := map[string]resource.Resource{}, map[string]resource.Resource{}
	var order []string
	name := func(r *resource.Resource) string { return r.Role() + "/" + r.Volume.ID }
	total := func(rs resource.Resources, destroys bool) {
		has := map[string]resource.Resource{}
		for _, r := range rs.Volumes() {
			has[name(&r)] = r
			delete(gone, name(&r))
		}
		for id, r := range had {
			if _, still := has[id]; !still && destroys {
				gone[id] = r
				order = append(order, id)
			}
		}
		had = has
	}
	for _, r := range records {
		switch r := r.(type) {
		case *slavecore.Registered:
			total(r.Slave.Resources, false)
		case *slavecore.Resources:
			total(r.Total, true)
		}
	}
	slices.Sort(order)
	var out resource.Resources
	for _, id := range slices.Compact(order) {
		if r, is := gone[id]; is {
			out = append(out, r)
		}
	}
	return out
}

func (s *Slave) coreConfig() (slavecore.Config, error) {
	var random [24]byte
	if _, err := rand.Read(random[:]); err != nil {
		return slavecore.Config{}, fmt.Errorf("slave: %w", err)
	}
	c := s.cfg
	address := c.Advertise
	if address == "" && s.listener != nil {
		address = s.listener.Addr().String()
		if tcp, ok := s.listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
			address = net.JoinHostPort(c.Hostname, strconv.Itoa(tcp.Port)) // others cannot reach "every address"
		}
	}
	return slavecore.Config{
		Slave: offer.Slave{Hostname: c.Hostname, Address: address, Resources: c.Resources, Attributes: c.Attributes, Domain: c.Domain,
			Version: c.Version},
		BootID: process.BootID(), Seed: binary.BigEndian.Uint64(random[:]), Nonce: offer.UUID(random[8:]),
		PingTimeout: c.PingTimeout, ExecutorRegistrationTimeout: c.ExecutorRegistrationTimeout,
		ExecutorReregistrationTimeout: c.ExecutorReregistrationTimeout, ExecutorShutdownGrace: c.ExecutorShutdownGrace,
		StopTimeout: c.StopTimeout, MaxTasks: c.MaxTasks, MaxProbes: c.MaxProbes,
	}, nil
}
