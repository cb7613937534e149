//go:build !linux

package image

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

var errNoMounts = errors.New("containers have no root folders of their own on this system")

func mountLayers([]string, string, bool) error { return errNoMounts }

func (*Isolator) probe() (string, error) { return "", errNoMounts }

func unmountBelow(string) error { return nil }

func blocks(st fs.FileInfo) uint64 { return uint64(st.Size()) }

func openIn(*os.File, string, int) (*os.File, error) { return nil, errNoMounts }

func makeIn(*os.File, string) error { return errNoMounts }

const (
	readOnly   = syscall.O_RDONLY | syscall.O_NONBLOCK
	folderOnly = syscall.O_RDONLY
)
