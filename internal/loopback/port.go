package loopback

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
)

const (
	lowestPort = 15000 // below those that are given to connections
	ports      = 15000
)

// A Port is one of loopback that is kept for a server for as long as this process has it, also while the server is down: it is bound, but
// nobody listens. A socket that asks for an address in use, as servers do, may listen on it meanwhile; one that does not, as here, is refused.
type Port struct{ number, fd int }

// Keep returns a port that nobody has, TCP's at least. It must be freed.
func Keep() (Port, error) {
	for range 1000 {
		p := Port{number: lowestPort + rand.IntN(ports)}
		var err error
		syscall.ForkLock.RLock()
		if p.fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0); err == nil {
			syscall.CloseOnExec(p.fd)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			return Port{}, err
		}
		err = syscall.Bind(p.fd, &syscall.SockaddrInet4{Port: p.number, Addr: [4]byte{127, 0, 0, 1}})
		if err == nil {
			err = syscall.SetsockoptInt(p.fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		}
		if err == nil {
			return p, nil
		}
		p.Free()
	}
	return Port{}, errors.New("loopback: no port is free")
}

// Number is the port's.
func (p Port) Number() int { return p.number }

// Address is where a server on the port listens.
func (p Port) Address() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }

// Free gives the port back.
func (p Port) Free() { _ = syscall.Close(p.fd) }
