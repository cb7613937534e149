package electiontest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
)

// A recorder takes the place of a *testing.T, so that the suite can be shown to fail.
type recorder struct {
	mu     sync.Mutex
	failed []string
}

// watch runs f, which ends early at fail, on a goroutine of its own.
func (r *recorder) watch(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

// fail notes a failure and ends the goroutine that it is called on.
func (r *recorder) fail(format string, args ...any) {
	r.mu.Lock()
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.failed, "\n")
}
