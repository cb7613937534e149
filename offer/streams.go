package offer

import "fmt"

// Streams are what goes in and out of a task beside its network and files.
type Streams struct {
	// Stdin keeps the task's standard input open for those who attach to the task; otherwise it reads nothing.
	Stdin bool
	// Terminal gives the task a terminal of that size, which is its standard input, output and error: all that it prints is stdout. Nil gives
	// it none.
	Terminal *TerminalSize
	// OutputBytes is how large each of the files stdout and stderr in the sandbox may grow. One that is full is renamed to stdout.1, what was
	// that to stdout.2, and so on. From MinOutputBytes to MaxOutputBytes; zero means the slave's default.
	OutputBytes int64
	// OutputFiles is how many of the renamed files are kept of each, at most MaxOutputFiles. Zero means the slave's default, negative none.
	OutputFiles int
}

// A TerminalSize is the size of a terminal in characters.
type TerminalSize struct{ Rows, Columns uint16 }

// The bounds of Streams. A page at least, as with the logger of Mesos.
const (
	MinOutputBytes = 4 << 10
	MaxOutputBytes = 1 << 40
	MaxOutputFiles = 100
)

// ValidateStreams checks Task.Streams, which may be nil.
func ValidateStreams(s *Streams) error {
	switch {
	case s == nil:
	case s.OutputBytes != 0 && (s.OutputBytes < MinOutputBytes || s.OutputBytes > MaxOutputBytes):
		return fmt.Errorf("streams.outputBytes %d: must be zero or from %d to %d", s.OutputBytes, MinOutputBytes, MaxOutputBytes)
	case s.OutputFiles > MaxOutputFiles:
		return fmt.Errorf("streams.outputFiles %d: must be at most %d", s.OutputFiles, MaxOutputFiles)
	}
	return nil
}
