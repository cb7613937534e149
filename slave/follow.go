package slave

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/meros-project/meros/offer"
)

// The headers of the answers of /files/follow.
const (
	nextHeader = "Meros-Next" // where to go on
	lostHeader = "Meros-Lost" // "true" if what comes next there is not kept any more
)

// maxFollow is the most that one /files/follow returns: who follows must not be slower than tasks print.
const maxFollow = 1 << 20

// A position is a place in what a task prints, which goes on in a new file whenever one is full. The zero position is the oldest that is kept.
type position struct {
	file   string // identifies the file by whatever name it has by now
	offset int64
}

func (p position) String() string { return p.file + ":" + strconv.FormatInt(p.offset, 10) }

func parsePosition(text string) (position, error) {
	if text == "" {
		return position{}, nil
	}
	file, rest, ok := strings.Cut(text, ":")
	offset, err := strconv.ParseInt(rest, 10, 64)
	if !ok || file == "" || err != nil || offset < 0 {
		return position{}, badFile{http.StatusBadRequest, fmt.Sprintf("at %.100q (allowed: nothing, or what %s said)", text, nextHeader)}
	}
	return position{file, offset}, nil
}

// A generation is one of the files that a task's output is in.
type generation struct {
	id   string
	file *os.File
	size int64
}

// fileFollow answers with what comes next in a file that is renamed when it is full: stdout, then what was stdout.1 when it was read first. The
// answer is empty when nothing comes next yet.
func (s *Slave) fileFollow(w http.ResponseWriter, r *http.Request) {
	at, err := parsePosition(r.URL.Query().Get("at"))
	if err != nil {
		fail(w, err)
		return
	}
	list, err := s.generations(r.URL.Query().Get("path"), at)
	defer func() {
		for _, g := range list {
			_ = g.file.Close()
		}
	}()
	if err != nil {
		fail(w, err)
		return
	}
	data, next, lost, err := readOn(list, at)
	if err != nil {
		fail(w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(data)))
	if next.file != "" {
		h.Set(nextHeader, next.String())
	}
	if lost {
		h.Set(lostHeader, "true")
	}
	_, _ = w.Write(data)
}

// generations opens the files from the newest on until the one that at is in, or all. While they are opened they move to higher numbers, so that
// one may be found twice, which is left out, and none is missed.
func (s *Slave) generations(path string, at position) (list []generation, err error) {
	for i := 0; i <= offer.MaxOutputFiles; i++ {
		name := path
		if i > 0 {
			name += "." + strconv.Itoa(i)
		}
		f, st, err := s.openPlain(name)
		if err != nil {
			if i == 0 && !isNotFound(err) {
				return list, err
			}
			if i == 0 { // it has just been renamed, or there is none
				continue
			}
			if len(list) == 0 {
				return list, notFound(path)
			}
			break
		}
		g := generation{id: identify(f, st), file: f, size: st.Size()}
		if n := len(list); n > 0 && list[n-1].id == g.id {
			_ = f.Close()
			continue
		}
		list = append(list, g)
		if g.id == at.file {
			break
		}
	}
	return list, nil
}

func isNotFound(err error) bool {
	var b badFile
	return errors.As(err, &b) && b.status == http.StatusNotFound
}

// readOn reads from a position on, at most maxFollow bytes of one file. Those that were renamed are complete.
func readOn(list []generation, at position) (data []byte, next position, lost bool, err error) {
	i := len(list) - 1 // the oldest
	if at.file != "" && list[i].id != at.file {
		lost, at.offset = true, 0
	}
	for {
		g := list[i]
		if at.file != g.id {
			at = position{file: g.id}
		}
		if at.offset > g.size { // it was emptied
			lost, at.offset = true, 0
		}
		b := make([]byte, min(maxFollow, g.size-at.offset))
		n, err := g.file.ReadAt(b, at.offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, at, lost, err
		}
		at.offset += int64(n)
		if n > 0 || i == 0 {
			return b[:n], at, lost, nil
		}
		i--
	}
}
