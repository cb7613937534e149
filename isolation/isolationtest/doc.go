// Package isolationtest shows that an isolator keeps the contract of isolation.Isolator, and has an isolator and a runner that follow
// a script, for the tests and benchmarks of whatever uses them.
package isolationtest
