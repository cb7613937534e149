// Package stream is how a session inside a running container travels: as frames on one connection, from whoever types to the slave and from the
// slave to the container's supervisor.
//
// A frame is a byte that says what it is, the length of its body in four bytes with the highest first, and the body. The side that asks sends
// Start, and is answered by Started or Refused. Then it sends Stdin, Resize and Signal, the other side Stdout, Stderr and at the end Exit. Who
// sends Stdin sends at most [InputWindow] bytes more than the other side has said by Window that it has used, so that nobody has to keep
// more than that, and a reader that is slow keeps no Resize, Signal or end of the connection from being noticed.
package stream
