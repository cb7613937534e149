// Package loopback keeps ports for servers that tests and measurements start as processes, so that nobody else is given them before they listen,
// or while they are down.
package loopback
