package frameworktest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/frameworktest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// backup runs one task an hour, at most one at a time, and the same hour's again if it did not work out.
type backup struct {
	next     time.Time
	running  bool
	attempts int
	done     int
}

func (b *backup) Subscribed(_ context.Context, s *framework.Session) error {
	if b.next.IsZero() {
		b.next = s.Now().Add(time.Hour)
	}
	return nil
}

func (b *backup) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	if b.running || s.Now().Before(b.next) {
		return s.Decline(framework.IDs(offers), framework.Refuse(time.Minute))
	}
	b.running = true
	b.attempts++
	task := offer.Task{ID: offer.TaskID(fmt.Sprintf("backup-%d-%d", b.done, b.attempts)), Resources: resource.Must("cpus:1;mem:256"),
		Command: &offer.Command{Shell: true, Value: "make backup"}}
	if err := s.Decline(framework.IDs(offers[1:])); err != nil {
		return err
	}
	return s.Launch(offers[0], task)
}

func (b *backup) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	if !st.State.Terminal() || string(st.TaskID) != fmt.Sprintf("backup-%d-%d", b.done, b.attempts) {
		return nil
	}
	b.running = false
	if st.State == offer.Finished {
		b.done, b.attempts, b.next = b.done+1, 0, b.next.Add(time.Hour)
	}
	return nil
}

// The leader dies every ten minutes or so through a day, and each backup is made once and no more.
func ExampleRun() {
	t := inExample{} // yours is the test's
	frameworktest.Run(t, frameworktest.Config{
		Seed: 7, Seeds: 2, Faults: frameworktest.LeaderDies, FaultEvery: 10 * time.Minute, Trouble: 24 * time.Hour,
		Runs: func(random *rand.Rand, _ *offer.Task) (time.Duration, offer.Exit) {
			return time.Duration(5+random.IntN(20)) * time.Minute, offer.Exit{}
		},
	}, func() framework.Scheduler { return &backup{} },
		frameworktest.Finished(23),
		frameworktest.NoDuplicateOf(func(id offer.TaskID) string { // backup-HOUR-ATTEMPT
			var hour, attempt int
			_, _ = fmt.Sscanf(string(id), "backup-%d-%d", &hour, &attempt)
			return fmt.Sprint("hour ", hour)
		}),
		frameworktest.StartedWithin(time.Minute),
	)
	fmt.Println("a day, twice over")
	// Output: a day, twice over
}

// inExample stands in for a *testing.T, which examples do not have.
type inExample struct{ testing.TB }

func (inExample) Helper()                      {}
func (inExample) Name() string                 { return "ExampleRun" }
func (inExample) Context() context.Context     { return context.Background() }
func (inExample) Log(args ...any)              { fmt.Println(args...) }
func (inExample) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
