// Package masterhttp is the master's HTTP surface: what operators and dashboards read, in JSON with Mesos' names where Mesos has them, and the
// set of masters. Only the leader answers questions about the cluster; the others redirect to it (307).
//
//	GET    /health            200 as long as the master serves
//	GET    /version           {"version": "..."} of this master's program
//	GET    /state-summary     slaves, frameworks and counts
//	GET    /slaves            each slave with its resources
//	GET    /frameworks        each framework
//	GET    /tasks             tasks; ?framework=, ?slave=, ?limit= (default 100, at most 10000), ?offset=
//	GET    /roles             roles with a weight or quota
//	GET    /explain           why ?framework= is offered nothing; &role=, &slave=; in plain text with Accept: text/plain
//	GET    /members           the masters
//	POST   /members           {"id": "...", "address": "host:port"}, and "non_voter": true, "promote": true (a member without a vote), or
//	                          "token" and "attempt", 32 hexadecimal digits each
//	DELETE /members/{id}
//	POST   /members/{id}/lead hands leadership to that one
//	POST   /tokens            {"life_s": 3600}: {"token": "...", "expires": "..."}, to join with once
//	POST   /snapshot          the registry as a saved state, after a commit; see election.OpenSaved
//
// Queries read a view of the core that never changes, so that they neither wait for decisions nor hold them up; but for /explain, of which the
// core answers one at a time.
package masterhttp
