package frameworktest_test

import (
	"testing"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
)

// An operation is an hour of trouble, in which a scheduler runs 300 tasks.
func BenchmarkAnHour(b *testing.B) {
	for name, cfg := range map[string]frameworktest.Config{
		"Slaves=4":               {Slaves: 4},
		"Slaves=20":              {Slaves: 20},
		"Slaves=20,calm":         {Slaves: 20, Faults: frameworktest.Calm},
		"Slaves=20,all,each-10s": {Slaves: 20, Faults: frameworktest.AllFaults, FaultEvery: 10 * time.Second},
	} {
		b.Run(name, func(b *testing.B) {
			cfg.Runs = seconds(60)
			for i := range b.N {
				cfg.Seed = uint64(i + 1)
				c := frameworktest.New(b, cfg)
				f := c.Start(framework.Config{Name: "batch", FailoverTimeout: 24 * time.Hour}, newBatch(300))
				c.Trouble(time.Hour)
				c.Until(time.Hour, func() bool { return f.Scheduler().(*batch).finished == 300 })
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "hours/s")
		})
	}
}
