//go:build !linux

package process

import "time"

// Ending returns a func that waits until this process has ended, at most for so long; it is called once.
func (id ID) Ending() (wait func(atMost time.Duration)) {
	return func(atMost time.Duration) {
		for until := time.Now().Add(atMost); id.Alive() && time.Now().Before(until); {
			time.Sleep(10 * time.Millisecond)
		}
	}
}
