package transport

import "fmt"

// A Protocol is one of those that share a port.
type Protocol uint8

// The protocols.
const (
	Node Protocol = iota // messages, by Conn
	Raft                 // between masters, for the elector
	HTTP                 // HTTP/1.1 and, under TLS, HTTP/2
	protocols
)

const magicSize = 8

// Without TLS, a connection begins with its protocol's magic, unless it is HTTP; with TLS, ALPN names the protocol. Both carry the version.
var (
	magics = [protocols]string{Node: "MEROSnd1", Raft: "MEROSrf1"}
	alpns  = [protocols]string{Node: "meros-node/1", Raft: "meros-raft/1", HTTP: "http/1.1"}
)

const alpnHTTP2 = "h2"

// String returns the protocol's name.
func (p Protocol) String() string {
	switch p {
	case Node:
		return "node"
	case Raft:
		return "raft"
	case HTTP:
		return "http"
	}
	return fmt.Sprintf("protocol(%d)", uint8(p))
}

// sniff tells the protocol by the first bytes of a plain connection: more is true while they could still go either way, and ok false if
// they are neither a magic nor the beginning of an HTTP request.
func sniff(b []byte) (p Protocol, more, ok bool) {
	for p, magic := range magics {
		switch {
		case magic == "":
		case len(b) >= magicSize && string(b[:magicSize]) == magic:
			return Protocol(p), false, true
		case len(b) < magicSize && string(b) == magic[:len(b)]:
			return 0, true, true
		}
	}
	return HTTP, false, b[0] >= 'A' && b[0] <= 'Z'
}
