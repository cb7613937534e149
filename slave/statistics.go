package slave

import (
	"net/http"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// A containerInfo is one container and what it uses, in the form of Mesos' /containers. What is not measured is left out.
type containerInfo struct {
	Container    string            `json:"container_id"`
	Framework    offer.FrameworkID `json:"framework_id"`
	Executor     offer.ExecutorID  `json:"executor_id"` // of a task that has none, as of Mesos' command tasks, the task's id
	ExecutorName string            `json:"executor_name"`
	Source       string            `json:"source"`
	Statistics   *statistics       `json:"statistics,omitempty"`
}

// statistics has the names of Mesos' ResourceStatistics.
type statistics struct {
	Timestamp   float64 `json:"timestamp"` // seconds since 1970, when the cpu time was read
	CPUUser     float64 `json:"cpus_user_time_secs"`
	CPUSystem   float64 `json:"cpus_system_time_secs"`
	MemoryTotal uint64  `json:"mem_total_bytes,omitempty"`
	RSS         uint64  `json:"mem_rss_bytes,omitempty"`
	MemoryLimit uint64  `json:"mem_limit_bytes,omitempty"`
	DiskUsed    uint64  `json:"disk_used_bytes,omitempty"`
	DiskLimit   uint64  `json:"disk_limit_bytes,omitempty"`
	Processes   int     `json:"processes,omitempty"`
	Threads     int     `json:"threads,omitempty"`
}

// containers answers with what the containers use now, or the one that the query's container_id names. Requests are answered one at a time,
// since each looks at every container.
func (s *Slave) containers(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("container_id")
	if s.serving.Load() == nil {
		fail(w, badFile{http.StatusServiceUnavailable, "the slave does not run"})
		return
	}
	s.metering.Lock()
	defer s.metering.Unlock()
	out := []containerInfo{}
	for _, spec := range s.live.all(id) {
		if r.Context().Err() != nil {
			return
		}
		info := containerInfo{Container: spec.Container, Framework: spec.Framework, Executor: spec.Executor, ExecutorName: spec.Name,
			Source: string(spec.Executor)}
		if spec.Task != "" {
			info.Executor, info.Source = offer.ExecutorID(spec.Task), string(spec.Task)
		}
		if s.meter != nil {
			if u, err := s.meter.Usage(r.Context(), spec.Container); err == nil && u != (isolation.Usage{}) { // it may have ended
				info.Statistics = statisticsOf(u)
			}
		}
		out = append(out, info)
	}
	answer(w, out)
}

func statisticsOf(u isolation.Usage) *statistics {
	at := u.At
	if at.IsZero() {
		at = time.Now()
	}
	return &statistics{Timestamp: float64(at.UnixMilli()) / 1000, CPUUser: u.CPUUser, CPUSystem: u.CPUSystem, MemoryTotal: u.MemoryBytes,
		RSS: u.RSS, MemoryLimit: u.MemoryLimit, DiskUsed: u.DiskBytes, DiskLimit: u.DiskLimit, Processes: u.Processes, Threads: u.Threads}
}
