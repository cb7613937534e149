package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// childArgument is the first argument of a process that is a framework; the second is its frameworkSpec.
const childArgument = "-lab-framework"

// What a framework does.
const (
	longTasks   = 5  // that are kept running
	leasedTasks = 2  // of those, have a lease
	perSlave    = 2  // long tasks of one framework
	openShorts  = 10 // that have not ended yet
	shortEvery  = 500 * time.Millisecond
	askEvery    = 10 * time.Second
)

// longScript notes its start, and then that it is alive, until it cannot.
const longScript = `echo "$2 $(date +%s.%N)" >> "$1/starts"; while echo . > "$1/beats/$2"; do sleep 1; done`

const shortScript = `echo "$2 $(date +%s.%N)" >> "$1/starts"; sleep 0.2; echo "$2" >> "$1/ends"`

type frameworkSpec struct {
	Name, Ledger, Journal string
	Masters               []string
	CA, Cert, Key         string // no TLS if empty
}

// Framework does not return in a process that is one of a lab's frameworks. Programs that run a lab call it first in main.
func Framework() {
	if len(os.Args) != 3 || os.Args[1] != childArgument {
		return
	}
	if err := runFramework(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "framework:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runFramework works until SIGTERM, which tears the framework down.
func runFramework(told string) error {
	var spec frameworkSpec
	if err := json.Unmarshal([]byte(told), &spec); err != nil {
		return err
	}
	books, err := openLedger(spec.Ledger)
	if err != nil {
		return err
	}
	if err := books.write(entry{What: "start", ID: fmt.Sprint(os.Getpid())}); err != nil {
		return err
	}
	w := &worker{spec: spec, ledger: books, book: books.book}
	cfg := framework.Config{Name: spec.Name, ID: w.book.framework, Masters: spec.Masters, FailoverTimeout: time.Hour, Insecure: spec.CA == "",
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	if spec.CA != "" {
		if cfg.TLS, err = tlsConfig(spec.CA, spec.Cert, spec.Key); err != nil {
			return err
		}
	}
	s, err := framework.New(cfg, w)
	if err != nil {
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	go func() {
		<-asked
		_ = s.Teardown()
	}()
	return s.Run(context.Background())
}

func tlsConfig(ca, cert, key string) (*tls.Config, error) {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("no certificate in " + ca)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, Certificates: []tls.Certificate{pair}}, err
}

// A worker is the scheduler: a few long tasks, each in a slot that is filled again when its task is gone, and a stream of short ones.
type worker struct {
	spec    frameworkSpec
	ledger  *ledger
	book    *book
	before  bool // subscribed in this life
	shortAt time.Time
}

var each = resource.Must("cpus:0.1;mem:32")

// Subscribed asks for what an earlier life has launched: only its ledger knows of a launch that never left that process.
func (w *worker) Subscribed(_ context.Context, s *framework.Session) error {
	if w.book.framework == "" {
		if err := w.ledger.write(entry{What: "framework", ID: string(s.ID())}); err != nil {
			return err
		}
	}
	if w.before {
		return nil
	}
	w.before = true
	return w.again(true)(context.Background(), s)
}

// again asks, and does so later once more, about tasks of earlier lives: of all of them, or of those that nothing was heard of, and those with
// a lease, of which a leader that does not know them tells nothing unless it is asked. It kills those that were replaced.
func (w *worker) again(all bool) func(context.Context, *framework.Session) error {
	return func(_ context.Context, s *framework.Session) error {
		s.After(askEvery, w.again(false))
		return w.ask(s, all)
	}
}

func (w *worker) ask(s *framework.Session, all bool) error {
	var refs []framework.TaskRef
	for _, r := range w.book.order {
		if !r.ended() && r.life < w.book.lives && (all || r.leased || r.state == "") {
			ref := framework.TaskRef{Task: offer.TaskID(r.id), Slave: r.slave}
			if r.leased {
				ref.Lease = taskLease
			}
			refs = append(refs, ref)
		}
		if err := w.killReplaced(s, r); err != nil {
			return err
		}
	}
	if len(refs) == 0 {
		return nil
	}
	return s.Reconcile(refs...)
}

// killReplaced ends a task that has come back after another has taken its place.
func (w *worker) killReplaced(s *framework.Session, r *record) error {
	if !r.replaced || r.state != offer.Running.String() {
		return nil
	}
	if err := w.ledger.write(entry{What: "kill", ID: r.id}); err != nil {
		return err
	}
	return s.Kill(offer.TaskID(r.id), r.slave)
}

// Offers fills the free slots, and starts a short task when it is time for one.
func (w *worker) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	for _, o := range offers {
		var tasks []offer.Task
		left := o.Resources
		launch := func(slot string) error {
			rest, fits := left.Sub(each)
			if !fits {
				return nil
			}
			left = rest
			task, err := w.launch(o, slot)
			tasks = append(tasks, task)
			return err
		}
		for i := range longTasks {
			slot := fmt.Sprintf("%s-long-%d", w.spec.Name, i+1)
			if w.free(slot) && w.on(o.SlaveID) < perSlave {
				if err := launch(slot); err != nil {
					return err
				}
			}
		}
		if s.Now().Sub(w.shortAt) >= shortEvery && w.openShorts() < openShorts {
			w.shortAt = s.Now()
			if err := launch(""); err != nil {
				return err
			}
		}
		var err error
		if len(tasks) == 0 {
			err = s.Decline([]offer.OfferID{o.ID}, framework.Refuse(time.Second))
		} else {
			err = s.Accept([]offer.OfferID{o.ID}, []offer.Operation{offer.Launch(tasks...)}, framework.Refuse(time.Second))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// launch makes a task, and writes it down first.
func (w *worker) launch(o offer.Offer, slot string) (offer.Task, error) {
	n, name, script := w.book.shorts+1, w.spec.Name+"-short", shortScript
	if slot != "" {
		name, script, n = slot, longScript, 1
		for _, r := range w.book.order {
			if r.slot == slot {
				n++
			}
		}
	}
	t := offer.Task{ID: offer.TaskID(fmt.Sprintf("%s.%d", name, n)), Name: name, Resources: each}
	t.Command = &offer.Command{Value: "sh", Arguments: []string{"sh", "-c", script, "task", w.spec.Journal, string(t.ID)},
		Environment: []offer.Variable{{Name: "PATH", Value: os.Getenv("PATH")}}}
	leased := slot != "" && slices.Contains(names(w.spec.Name+"-long-", leasedTasks), slot)
	if leased {
		t.Lease = taskLease
	}
	return t, w.ledger.write(entry{What: "launch", ID: string(t.ID), Slot: slot, Leased: leased, Slave: o.SlaveID, Host: o.Hostname})
}

func (w *worker) free(slot string) bool {
	r := w.book.slots[slot]
	return r == nil || r.ended() || r.replaced
}

// on counts the long tasks on a slave.
func (w *worker) on(id offer.SlaveID) int {
	n := 0
	for _, r := range w.book.slots {
		if r.slave == id && !r.ended() && !r.replaced {
			n++
		}
	}
	return n
}

func (w *worker) openShorts() int {
	n := 0
	for _, r := range w.book.order {
		if r.slot == "" && !r.ended() {
			n++
		}
	}
	return n
}

// Status keeps the book. Of several ends of one task the first counts.
func (w *worker) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	r := w.book.tasks[string(st.TaskID)]
	if r == nil {
		return w.ledger.write(entry{What: "stranger", ID: string(st.TaskID)})
	}
	if state := st.State.String(); !r.ended() && r.state != state {
		e := entry{What: "state", ID: r.id, State: state, Reason: st.Reason.String(), Detail: st.Message}
		if err := w.ledger.write(e); err != nil {
			return err
		}
	}
	return w.killReplaced(s, r)
}
