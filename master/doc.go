// Package master is the shell around the master's mind: sockets, the elector, the log, the clock.
//
//	m, err := master.New(master.Config{Election: election.Standalone(), Listen: "127.0.0.1:5050"})
//	err = m.Run(ctx)
//
// Reading order: master.go (what runs), reign.go (one term of leadership: a fresh core over the registry), effects.go (the one switch over what
// the core wants), propose.go (its writes to the registry), conns.go (who is connected), fsm.go (what the log means).
//
// A master that leads runs internal/mastercore in a loop and gives it every message of slaves and frameworks; one that does not lead tells
// everybody who does.
package master
