//go:build !linux

package namespace

import (
	"errors"

	"github.com/meros-project/meros/isolation"
)

var errLinux = errors.New("namespace: needs Linux")

// Detect says in a line why containers can have no namespaces of their own on this machine; nil if they can.
func Detect() error { return errLinux }

func exists(isolation.Mount) error { return errLinux }
