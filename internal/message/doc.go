// Package message holds what master, slave, framework and executor say to each other: plain structs, one file for each direction.
//
// Messages are values once sent: neither side changes one afterwards. They travel as pointers to the struct, encoded by internal/wire.
package message
