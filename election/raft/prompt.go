package raft

import (
	"slices"
	"time"

	hraft "github.com/hashicorp/raft"
)

// prompt makes followers notice a lost leader as soon as HeartbeatTimeout has passed since they heard from it, one a little after the
// other. The library alone looks at random moments up to another two timeouts later, and since a follower that still knows a leader
// refuses pre-votes, an election waits for the slowest to look. The rule of when a leader is lost stays the library's own.
func (e *Elector) prompt(n *node) {
	heartbeat := e.cfg.HeartbeatTimeout
	timer := time.NewTimer(heartbeat)
	defer timer.Stop()
	var prompted time.Time // the contact after which the library was last made to look
	for {
		select {
		case <-n.stop:
			return
		case <-timer.C:
		}
		wait := heartbeat / 2
		if r := e.raft; r.State() == hraft.Follower {
			contact := r.LastContact()
			if due := time.Until(contact.Add(heartbeat + e.turn())); contact.IsZero() || contact.Equal(prompted) {
				// Never led, or looked at already: the library's own timers go on from here.
			} else if due > 0 {
				wait = due
			} else {
				prompted = contact
				e.look()
			}
		}
		timer.Reset(wait)
	}
}

// turn staggers the followers by their ids: of two that look at the same moment each would vote for itself. Their last contacts lie
// up to a fifth of the timeout apart, so the step is more.
func (e *Elector) turn() time.Duration {
	_, leader := e.raft.LeaderWithID()
	var ids []string
	for _, s := range e.servers() {
		if s.Suffrage == hraft.Voter && s.ID != leader {
			ids = append(ids, string(s.ID))
		}
	}
	slices.Sort(ids)
	return time.Duration(max(0, slices.Index(ids, e.nodeID))) * e.cfg.HeartbeatTimeout / 4
}

// look makes the library compare the time of its last contact with the timeout now: it does when the timeout is lowered.
func (e *Elector) look() {
	c := e.raft.ReloadableConfig()
	c.HeartbeatTimeout = e.cfg.HeartbeatTimeout + time.Nanosecond
	err := e.raft.ReloadConfig(c)
	if err == nil {
		c.HeartbeatTimeout = e.cfg.HeartbeatTimeout
		err = e.raft.ReloadConfig(c)
	}
	if err != nil {
		e.log.Warn("raft: the timeout was not changed", "err", err)
	}
}
