//go:build !linux

package supervisor

import (
	"errors"
	"os"
)

func self() (string, error) { return os.Executable() }

// sealedProgram fails: here programs are executed from files only.
func sealedProgram() (string, error) { return "", errors.ErrUnsupported }

func guard(string) {}

func memoryFile(string, []byte) (*os.File, error) { return nil, errors.ErrUnsupported }
