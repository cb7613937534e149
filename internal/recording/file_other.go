//go:build !linux

package recording

import "os"

// openFile opens a file.
func openFile(path string, flags int) (file, error) { return os.OpenFile(path, flags, fileMode) }
