// Package transport moves messages between the nodes of a cluster: framed streams over any net.Conn, one port for all protocols, TLS,
// and the search for the leader among the masters' addresses.
//
// A frame is a u32 length in big endian, a u8 kind and a msgpack body; the length counts kind and body and is at most 4 MiB. A batch frame
// carries the messages of one cluster and reign that had queued when it was written, so that a thousand messages cost one system call.
//
// Conn is the stream, Mux shares one listener among protocols, Dialer opens connections to it, Network is where both get their sockets from
// (TCP, or memtransport for tests and one-process clusters). Whatever a peer sends, at whatever speed, costs only its own connection.
package transport
