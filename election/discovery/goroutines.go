package discovery

import (
	"bytes"
	"fmt"
	"runtime/pprof"
	"time"
)

const (
	goroutineLabel = "meros-gossip"
	endTimeout     = 10 * time.Second
)

// awaitEnd waits until no goroutine carries the label: the gossip library returns from Shutdown while a probe of a member that does
// not answer still waits for its timeout, and offers no way to wait for it. Goroutines inherit the labels of those that start them.
func awaitEnd(label string) {
	mark := fmt.Appendf(nil, "%q:%q", goroutineLabel, label)
	pause := time.Millisecond
	for began := time.Now(); time.Since(began) < endTimeout; {
		var b bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil || !bytes.Contains(b.Bytes(), mark) {
			return
		}
		<-time.After(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}
