// Package masterhttp is the master's HTTP surface: what operators and dashboards read, in JSON with Mesos' names where Mesos has them, and the
// set of masters. Only the leader answers questions about the cluster; the others redirect to it (307).
//
//	GET    /health            200 as long as the master serves
//	GET    /state-summary     slaves, frameworks and counts
//	GET    /slaves            each slave with its resources
//	GET    /frameworks        each framework
//	GET    /tasks             tasks; ?framework=, ?slave=, ?limit= (default 100, at most 10000), ?offset=
//	GET    /roles             roles with a weight or quota
//	GET    /explain           why ?framework= is offered nothing; &role=, &slave=; in plain text with Accept: text/plain
//	GET    /members           the masters
//	POST   /members           {"id": "...", "address": "host:port"}
//	DELETE /members/{id}
//	POST   /snapshot          the registry as a saved state, after a commit; see election.OpenSaved
//
// Queries read a view of the core that never changes, so that they neither wait for decisions nor hold them up; but for /explain, of which the
// core answers one at a time.
package masterhttp
