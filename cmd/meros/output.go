package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/meros-project/meros/offer"
)

// follower copies a task's standard output and error from its slave, as they grow.
type follower struct {
	client *http.Client
	scheme string
	out    [2]io.Writer

	once    sync.Once
	started bool
	ended   chan struct{} // closed when the task has ended: read to the end, then stop
	wg      sync.WaitGroup

	deaf   sync.Once
	broken chan struct{} // closed when nobody takes the output any more
}

func newFollower(client *http.Client, scheme string, stdout, stderr io.Writer) *follower {
	return &follower{client: client, scheme: scheme, out: [2]io.Writer{stdout, stderr}, ended: make(chan struct{}),
		broken: make(chan struct{})}
}

// start begins to read; later calls do nothing.
func (f *follower) start(address string, framework offer.FrameworkID, task offer.TaskID) {
	f.once.Do(func() {
		if address == "" {
			return
		}
		f.started = true
		for i, name := range []string{"stdout", "stderr"} {
			path := fmt.Sprintf("/frameworks/%s/tasks/%s/%s", framework, task, name)
			f.wg.Go(func() { f.copy(f.out[i], address, path) })
		}
	})
}

// finish returns when all output of the ended task has been copied, or its slave does not answer for ten seconds.
func (f *follower) finish() {
	close(f.ended)
	f.wg.Wait()
}

func (f *follower) unwanted() <-chan struct{} { return f.broken }

func (f *follower) copy(out io.Writer, address, path string) {
	at := ""
	var silent time.Time // since when the slave has not answered
	for {
		over := false
		select {
		case <-f.ended:
			over = true
		default:
		}
		data, next, lost, err := f.read(address, path, at)
		if err == nil && lost {
			fmt.Fprintf(f.out[1], "meros: some of %s is missing here: it was printed faster than it could be read\n", path)
		}
		switch {
		case err == nil && len(data) > 0:
			silent, at = time.Time{}, next
			if _, err := out.Write(data); err != nil {
				f.deaf.Do(func() { close(f.broken) })
				return
			}
			continue
		case err == nil && over:
			return
		case err == nil:
			at = next
		case over:
			if silent.IsZero() {
				silent = time.Now()
			}
			if time.Since(silent) > 10*time.Second {
				fmt.Fprintf(f.out[1], "meros: the rest of %s could not be read: %v\n", path, err)
				return
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-f.ended:
			if over {
				<-time.After(100 * time.Millisecond)
			}
		}
	}
}

// read asks for what comes next after a place that an earlier answer named, empty for the beginning. It returns no data when there are none yet.
func (f *follower) read(address, path, at string) (data []byte, next string, lost bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	query := url.Values{"path": {path}, "at": {at}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.scheme+"://"+address+"/files/follow?"+query.Encode(), nil)
	if err != nil {
		return nil, "", false, err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, "", false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", false, fmt.Errorf("%s answers %s", address, resp.Status)
	}
	data, err = io.ReadAll(io.LimitReader(resp.Body, maxRead))
	if err == nil && int64(len(data)) < resp.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	return data, resp.Header.Get("Meros-Next"), resp.Header.Get("Meros-Lost") == "true", err
}

const maxRead = 1 << 20 // what a slave answers at once, at most
