// Package raft is the default [election.Elector]: consensus among three or five masters by the Raft algorithm (Ongaro and
// Ousterhout, "In Search of an Understandable Consensus Algorithm", 2014), on hashicorp/raft with its bbolt log store.
//
// The library is wrapped where it trusts too much. Every connection opens with a handshake that names cluster and node on both
// sides, and only members of the configuration get past it. What follows is scanned before the library decodes it, so that a
// declared length never allocates more than a message may have. A request or answer whose term is absurdly far ahead is refused.
// A disk that hangs stops the heartbeats, so that another master takes over, and then ends [Elector.Run]. A data folder remembers
// whose it is and how far it had come, and the other masters remember it too, so that one restored from an old copy is refused:
// its node may have voted, and acknowledged entries, that it no longer knows of.
//
// Masters that start together are given the same Config.Bootstrap; one that comes later sets Config.Join and is added on the
// leader with Add. To replace a master whose disk is lost, Remove it and Add the new one under the new id it made up.
package raft
