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

func (f *follower) copy(out io.Writer, address, path string) {
	var offset int64
	var silent time.Time // since when the slave has not answered
	for {
		over := false
		select {
		case <-f.ended:
			over = true
		default:
		}
		data, err := f.read(address, path, offset)
		switch {
		case err == nil && len(data) > 0:
			silent = time.Time{}
			offset += int64(len(data))
			if _, err := out.Write(data); err != nil {
				f.deaf.Do(func() { close(f.broken) })
				return
			}
			continue
		case err == nil && over:
			return
		case err != nil && over:
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

// read asks for the bytes from offset on. It returns none when there are none yet.
func (f *follower) read(address, path string, offset int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	query := url.Values{"path": {path}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.scheme+"://"+address+"/files/download?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+maxRead-1))
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
		return io.ReadAll(io.LimitReader(resp.Body, maxRead))
	case http.StatusRequestedRangeNotSatisfiable: // the file ends at offset
		return nil, nil
	case http.StatusOK:
		if resp.ContentLength == 0 {
			return nil, nil
		}
	}
	return nil, fmt.Errorf("%s answers %s", address, resp.Status)
}

const maxRead = 64 << 10
