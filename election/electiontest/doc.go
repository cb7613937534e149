// Package electiontest shows that an [election.Elector] keeps its contract, whatever it is built on.
package electiontest
