package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// runFile holds what is known of a container's run, a line each: the kind of record, its checksum, and the record as JSON. The slave writes the
// order, and then its supervisor appends. All in one file, because making files costs a start more than anything else does. It need not be on
// disk when a line is written: what runs does not survive the machine's boot either.
const runFile = "run"

// The kinds of records.
const (
	orderRecord   = "order"   // what a supervisor carries out
	processRecord = "process" // the first process
	exitRecord    = "exit"    // how it ended
)

// errDamaged says that a record is torn, or not what was written.
var errDamaged = errors.New("is damaged")

func runPath(dir string) string { return filepath.Join(dir, runFile) }

// checksum needs no table, which would cost every supervisor more than it saves. No change of a single byte leaves it the same.
func checksum(kind string, body []byte) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, kind)
	_, _ = h.Write(body)
	return h.Sum64()
}

func line(kind string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s %016x %s\n", kind, checksum(kind, body), body), nil
}

// writeOrder begins the file anew. Nobody has been told to carry out what it held before, or whoever has comes too late.
func writeOrder(dir string, o *order) error {
	return writeRecord(dir, orderRecord, o, os.O_TRUNC|os.O_CREATE)
}

// appendRecord adds a record, in one write, so that another process reads all of it or nothing that passes for a record.
func appendRecord(dir, kind string, v any) error { return writeRecord(dir, kind, v, os.O_APPEND) }

func writeRecord(dir, kind string, v any, flags int) error {
	b, err := line(kind, v)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(runPath(dir), os.O_WRONLY|flags, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// readRecord reads the record of a kind. The error is fs.ErrNotExist if there is none, and errDamaged with the file's name if a record was
// written that cannot be read any more and may have been the one.
func readRecord(dir, kind string, v any) error {
	path := runPath(dir)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return findRecord(path, b, kind, v)
}

func findRecord(path string, b []byte, kind string, v any) error {
	missing := fmt.Errorf("%s: no record %q: %w", path, kind, fs.ErrNotExist)
	for number := 1; len(b) > 0; number++ {
		text, rest, whole := bytes.Cut(b, []byte{'\n'})
		b = rest
		name, text, _ := bytes.Cut(text, []byte{' '})
		sum, body, _ := bytes.Cut(text, []byte{' '})
		want, err := strconv.ParseUint(string(sum), 16, 64)
		switch {
		case !whole || err != nil || len(sum) != 16 || want != checksum(string(name), body):
			missing = fmt.Errorf("%s: line %d %w", path, number, errDamaged)
		case string(name) != kind:
		case json.Unmarshal(body, v) != nil:
			return fmt.Errorf("%s: line %d %w", path, number, errDamaged)
		default:
			return nil
		}
	}
	return missing
}
