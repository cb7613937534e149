// Package electiontest shows that an [election.Elector] keeps its contract, whatever it is built on: [Run] is one line of a test.
//
//	func TestMyElector(t *testing.T) { electiontest.Run(t, electiontest.Of(3, open)) }
//
// Each check makes a fresh cluster of the masters that it is given, runs them in this process, resigns, stops, starts again and, where a
// [Master] can be, cuts them off, and compares what proposers were told with what every master applied. Histories of what was read and
// written while all this happened must be linearizable. A resignation must hand leadership over, rather than be waited out, and electors that
// implement [election.Transferer] hand it to the master that is named.
package electiontest
