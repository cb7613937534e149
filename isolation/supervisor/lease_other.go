//go:build !linux

package supervisor

import "time"

// An alarm looks at the clock again and again: timers of this system may stand still while the machine sleeps.
type alarm struct{}

func newAlarm() (*alarm, error) { return &alarm{}, nil }

func (*alarm) set(time.Duration) error { return nil }

// wait returns after a while.
func (*alarm) wait() { time.Sleep(100 * time.Millisecond) }
