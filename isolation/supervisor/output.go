package supervisor

import (
	"os"
	"sync"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/stream"
	"github.com/meros-project/meros/offer"
)

// drainTimeout is how long what a container has printed last may take to be read when nothing of it runs any more.
const drainTimeout = 10 * time.Second

// taskStreams are what goes in and out of the container's task. The supervisor empties what the task prints into files, whether a slave
// runs or not, and passes it to those who are attached.
type taskStreams struct {
	dir      *os.File // the sandbox
	stdin    *os.File // nil if the task reads nothing
	terminal *os.File // nil without; it is stdin too
	readers  sync.WaitGroup
	from     []*os.File

	mu        sync.Mutex
	listeners map[*listener]bool
	over      bool // no more will be printed
	feeding   bool // somebody is attached who types
	inputOver bool // stdin is closed
	waits     bool // for the first who attaches, and early is kept for them
	early     []piece
	earlySize int
}

// openStreams makes what the task reads from and prints to, and returns its ends. The files in the sandbox are made before the task runs, so that
// no link of its own is followed.
func (s *supervisorState) openStreams(plan *isolation.Plan) (files []*os.File, err error) {
	spec, t := s.order.Spec, &s.streams
	t.listeners = map[*listener]bool{}
	dir, err := openSandbox(spec.Sandbox)
	if err != nil {
		return nil, err
	}
	t.dir = dir
	var logs [2]*rotated
	for i, name := range []string{"stdout", "stderr"} {
		if logs[i], err = openRotated(dir, name, plan.User, s.order.OutputBytes, s.order.OutputFiles); err != nil {
			return nil, err
		}
	}
	in := spec.Streams
	if in == nil {
		in = &offer.Streams{}
	}
	kinds := []stream.Kind{stream.Stdout, stream.Stderr}
	t.waits = in.Stdin || in.Terminal != nil
	if in.Terminal != nil {
		master, slave, err := openTerminal(*in.Terminal)
		if err != nil {
			return nil, err
		}
		t.terminal, t.stdin = master, master
		logs[1].close() // there it stays empty
		t.copy(master, kinds[0], logs[0])
		return []*os.File{slave, slave, slave}, giveTo(plan.User, slave)
	}
	if in.Stdin {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		t.stdin, files = w, append(files, r)
		err = giveTo(plan.User, r)
		if err != nil {
			return files, err
		}
	} else {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		files = append(files, null)
	}
	for i, kind := range kinds {
		r, w, err := os.Pipe()
		if err != nil {
			return files, err
		}
		files = append(files, w)
		if err := giveTo(plan.User, w); err != nil {
			return files, err
		}
		t.copy(r, kind, logs[i])
	}
	return files, nil
}

// How much of what a task prints is read at once, in bytes: more, as long as there is more. Most print little, and what is larger costs a start.
const leastRead, mostRead = 2 << 10, 2 * stream.MaxData

// copy empties what the task prints into its file and to those who listen, until nobody can print any more.
func (t *taskStreams) copy(from *os.File, kind stream.Kind, to *rotated) {
	t.from = append(t.from, from)
	t.readers.Go(func() {
		defer from.Close()
		defer to.close()
		b := make([]byte, leastRead)
		for {
			n, err := from.Read(b)
			if n > 0 {
				_, _ = to.Write(b[:n])
				t.tell(kind, b[:n])
			}
			if err != nil {
				return
			}
			if n == len(b) && n < mostRead {
				b = make([]byte, min(4*n, mostRead))
			}
		}
	})
}

// drain returns when all that was printed is in the files. Nothing of the container runs any more.
func (t *taskStreams) drain() {
	for _, f := range t.from {
		_ = f.SetReadDeadline(time.Now().Add(drainTimeout))
	}
	t.readers.Wait()
	_ = t.dir.Close()
}

// finish tells those who listen that it is over, once they have got everything.
func (t *taskStreams) finish(exit *offer.Exit) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	for l := range t.listeners {
		l.end(exit)
	}
}
