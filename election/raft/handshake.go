package raft

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
)

// Each connection opens with a hello of the dialler and the acceptor's answer, each 4 bytes of magic, a u16 length and that many
// bytes of JSON, at most maxHello.
const (
	helloMagic   = "MRF1"
	helloVersion = 1
	maxHello     = 2048
)

var (
	// ErrRefused is wrapped by what a connection to another master fails with when one of the two refuses the other.
	ErrRefused = errors.New("raft: connection refused")

	errForeign = errors.New("not of this cluster")
)

type hello struct {
	Version int    `json:"v"`
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Run     string `json:"run"`
	Opening mark   `json:"opening"` // of this run
	Recover bool   `json:"recover,omitempty"`

	// In an answer: why the dialler is refused.
	Refusal    string `json:"refusal,omitempty"`
	RolledBack bool   `json:"rolledBack,omitempty"`
	Expelled   bool   `json:"expelled,omitempty"`

	// The list that the node has promised itself to, by its hash, and whether it knows that all of it have.
	Meeting string `json:"meeting,omitempty"`
	Formed  bool   `json:"formed,omitempty"`

	// In an answer: how far the log goes now.
	At mark `json:"at"`
}

func writeHello(w io.Writer, h hello) error {
	if len(h.Refusal) > 512 {
		h.Refusal = h.Refusal[:512]
	}
	body, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(body) > maxHello {
		return fmt.Errorf("raft: hello has %d bytes, at most %d are allowed", len(body), maxHello)
	}
	b := binary.BigEndian.AppendUint16([]byte(helloMagic), uint16(len(body)))
	_, err = w.Write(append(b, body...))
	return err
}

func readHello(r io.Reader) (hello, error) {
	var h hello
	var head [6]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return h, err
	}
	if string(head[:4]) != helloMagic {
		return h, fmt.Errorf("%w: it opens with %q, a master opens with %q", ErrRefused, head[:4], helloMagic)
	}
	n := int(binary.BigEndian.Uint16(head[4:]))
	if n > maxHello {
		return h, fmt.Errorf("%w: its hello has %d bytes, at most %d are allowed", ErrRefused, n, maxHello)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return h, err
	}
	if err := json.Unmarshal(body, &h); err != nil {
		return h, fmt.Errorf("%w: its hello is malformed: %v", ErrRefused, err)
	}
	if len(h.Cluster) > maxName || len(h.Node) > maxName || len(h.Run) > maxName {
		return h, fmt.Errorf("%w: a name in its hello has more than %d bytes", ErrRefused, maxName)
	}
	return h, nil
}

// A gate decides whom to talk to.
type gate struct {
	self  hello
	guard *guard
	// members tells the configuration in force, as addresses by id; empty while this node waits to be added.
	members func() map[string]string
	// expelled are the nodes that the cluster was recovered without; they may have been added again since.
	expelled map[string]bool
	// meeting is nil where there was none. While it has not formed a cluster, nobody is let in.
	meeting *meeting
	// at tells how far the log goes now. Nil says nothing.
	at func() mark
}

// check judges what the other side said of itself, whichever side dialled.
func (g *gate) check(other hello) error {
	switch {
	case other.Version != helloVersion:
		return fmt.Errorf("%w: node %s speaks version %d, this node %s speaks %d", ErrRefused, other.Node, other.Version, g.self.Node, helloVersion)
	case other.Cluster != g.self.Cluster:
		return fmt.Errorf("%w: %w: node %s is of cluster %q, this node %s is of %q", ErrRefused, errForeign,
			other.Node, other.Cluster, g.self.Node, g.self.Cluster)
	case other.Node == g.self.Node && other.Run != g.self.Run:
		return fmt.Errorf("%w: two masters have the id %s", ErrRefused, other.Node)
	}
	if members := g.members(); len(members) > 0 {
		if _, ok := members[other.Node]; !ok && g.expelled[other.Node] {
			return fmt.Errorf("%w: %w: node %s must begin anew, with an empty folder, and join", ErrRefused, ErrExpelled, other.Node)
		} else if !ok {
			return fmt.Errorf("%w: node %q is not in the configuration that node %s has", ErrRefused, other.Node, g.self.Node)
		}
	}
	return g.guard.met(other.Node, other.Run, other.Opening, other.Recover)
}

// accept does the acceptor's half.
func (g *gate) accept(conn net.Conn) (hello, error) {
	other, err := readHello(conn)
	if err != nil {
		return other, err
	}
	answer := g.self
	if g.meeting != nil {
		answer.Formed = g.meeting.formed.Load()
	}
	if g.meeting != nil && !answer.Formed {
		err = fmt.Errorf("%w: node %s has not met all others of its cluster yet", ErrRefused, g.self.Node)
	} else {
		err = g.check(other)
	}
	if err != nil {
		answer.Refusal = err.Error()
		answer.RolledBack, answer.Expelled = errors.Is(err, ErrRolledBack), errors.Is(err, ErrExpelled)
	}
	if g.at != nil {
		answer.At = g.at()
	}
	return other, errors.Join(err, writeHello(conn, answer))
}

// dial does the dialler's half, towards the member that the configuration has at address.
func (g *gate) dial(conn net.Conn, address string) (hello, error) {
	if err := writeHello(conn, g.self); err != nil {
		return hello{}, err
	}
	other, err := readHello(conn)
	if err != nil {
		return other, err
	}
	if other.Refusal != "" {
		err := fmt.Errorf("%w by node %s at %s: %s", ErrRefused, other.Node, address, other.Refusal)
		switch {
		case other.RolledBack:
			return other, errors.Join(ErrRolledBack, err)
		case other.Expelled:
			return other, errors.Join(ErrExpelled, err)
		}
		return other, err
	}
	if err := g.check(other); err != nil {
		return other, err
	}
	for id, at := range g.members() {
		// Two masters that have swapped addresses must not have their votes counted for each other.
		if at == address && id != other.Node {
			return other, fmt.Errorf("%w: at %s is node %q, the configuration has %q there", ErrRefused, address, other.Node, id)
		}
	}
	return other, nil
}
