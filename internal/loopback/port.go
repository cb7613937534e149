package zkserver

import (
	"errors"
	"math/rand/v2"
	"syscall"
)

const (
	lowestPort = 15000 // below those that are given to connections
	ports      = 15000
)

// A port is one of loopback that is kept for a server for as long as this process has it, also while the server is down: it is bound, but
// nobody listens. A socket that asks for an address in use, as servers do, may listen on it meanwhile; one that does not, as here, is refused.
type port struct{ number, fd int }

func freePort() (port, error) {
	for range 1000 {
		p := port{number: lowestPort + rand.IntN(ports)}
		var err error
		syscall.ForkLock.RLock()
		if p.fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0); err == nil {
			syscall.CloseOnExec(p.fd)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			return port{}, err
		}
		err = syscall.Bind(p.fd, &syscall.SockaddrInet4{Port: p.number, Addr: [4]byte{127, 0, 0, 1}})
		if err == nil {
			err = syscall.SetsockoptInt(p.fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		}
		if err == nil {
			return p, nil
		}
		p.free()
	}
	return port{}, errors.New("zkserver: no port is free")
}

func (p port) free() { _ = syscall.Close(p.fd) }
