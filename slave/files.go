package slave

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/meros-project/meros/internal/transport"
)

// maxRead is the most that one /files/read returns. Mesos: 16 pages of 4 KiB.
const maxRead = 64 << 10

// maxBrowse is the most entries that one /files/browse returns.
const maxBrowse = 10_000

func (s *Slave) newHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /files/read", s.fileRead)
	mux.HandleFunc("GET /files/browse", s.fileBrowse)
	mux.HandleFunc("GET /files/download", s.fileDownload)
	mux.HandleFunc("GET /containers", s.containers)
	mux.HandleFunc("GET /monitor/statistics", s.containers)
	mux.HandleFunc("GET /files/follow", s.fileFollow)
	mux.HandleFunc("POST "+SessionPath, s.session)
	return mux
}

func (s *Slave) secureListener() bool {
	t := s.cfg.TLS
	return t != nil && (len(t.Certificates) > 0 || t.GetCertificate != nil)
}

// serveHTTP serves the handler until ctx ends.
func (s *Slave) serveHTTP(ctx context.Context) error {
	ln := s.listener
	if ln == nil {
		return nil
	}
	if s.secureListener() {
		cfg := s.cfg.TLS.Clone()
		cfg.NextProtos = []string{"h2", "http/1.1"}
		if cfg.MinVersion == 0 {
			cfg.MinVersion = tls.VersionTLS12
		}
		ln = tls.NewListener(ln, cfg)
	}
	handler := s.handler
	if !s.secureListener() && transport.CheckPlain(ln.Addr()) == nil {
		handler = transport.KnownHost(s.cfg.Advertise, handler)
	}
	if err := transport.ServeHTTP(ctx, ln, handler, s.cfg.Logger); err != nil {
		return fmt.Errorf("slave: serve HTTP: %w", err)
	}
	return nil
}

// A badFile is an answer to a request that cannot be served.
type badFile struct {
	status int
	text   string
}

func (b badFile) Error() string { return b.text }

// openFile opens what a virtual path names: /frameworks/F/tasks/T/..., or executors/E, of this slave. It never leaves the slave's
// folder, whatever links a task has made, and opens nothing but regular files and folders, so that no pipe or device can hold it up.
func (s *Slave) openFile(virtual string) (*os.File, fs.FileInfo, error) {
	id, dir := s.ID(), s.serving.Load()
	if dir == nil || id == "" {
		return nil, nil, badFile{http.StatusServiceUnavailable, "the slave is not registered yet"}
	}
	elements := strings.Split(strings.Trim(path.Clean("/"+virtual), "/"), "/")
	if elements[0] != "frameworks" || len(elements) < 4 {
		return nil, nil, badFile{http.StatusNotFound, fmt.Sprintf("path %q (allowed: /frameworks/FRAMEWORK/tasks/TASK/..., or executors)", virtual)}
	}
	root, err := os.OpenRoot(filepath.Join(*dir, "slaves", string(id)))
	if err != nil {
		return nil, nil, notFound(virtual)
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.FromSlash(strings.Join(elements, "/")), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, notFound(virtual)
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		err = fs.ErrInvalid
	}
	if err != nil {
		_ = f.Close()
		return nil, nil, notFound(virtual)
	}
	return f, st, nil
}

// openPlain is openFile without folders.
func (s *Slave) openPlain(virtual string) (*os.File, fs.FileInfo, error) {
	f, st, err := s.openFile(virtual)
	if err == nil && st.IsDir() {
		_ = f.Close()
		return nil, nil, badFile{http.StatusBadRequest, "path is a folder (allowed: a file)"}
	}
	return f, st, err
}

func notFound(virtual string) error {
	return badFile{http.StatusNotFound, fmt.Sprintf("path %q: no such file", virtual)}
}

func fail(w http.ResponseWriter, err error) {
	var b badFile
	if !errors.As(err, &b) {
		b = badFile{http.StatusInternalServerError, "the file cannot be read"}
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.Error(w, b.text, b.status)
}

func number(r *http.Request, name string, def int64) (int64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < -1 {
		return 0, badFile{http.StatusBadRequest, fmt.Sprintf("%s %q (allowed: a number from -1)", name, text)}
	}
	return n, nil
}

// fileRead answers in Mesos' form: the data at an offset, or, with offset -1, the size as offset.
func (s *Slave) fileRead(w http.ResponseWriter, r *http.Request) {
	f, st, err := s.openPlain(r.URL.Query().Get("path"))
	if err != nil {
		fail(w, err)
		return
	}
	defer f.Close()
	offset, err1 := number(r, "offset", -1)
	length, err2 := number(r, "length", -1)
	if err := errors.Join(err1, err2); err != nil {
		fail(w, err)
		return
	}
	out := struct {
		Data   string `json:"data"`
		Offset int64  `json:"offset"`
	}{Offset: offset}
	if offset == -1 {
		out.Offset = st.Size()
	} else if offset < st.Size() { // beyond the end there is nothing; a system call may not take a number that large
		if length < 0 || length > maxRead {
			length = maxRead
		}
		b := make([]byte, length)
		n, err := f.ReadAt(b, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			fail(w, err)
			return
		}
		out.Data = string(wholeRunes(b[:n]))
	}
	answer(w, out)
}

// wholeRunes cuts off a character whose rest is not there yet, so that the next read begins with all of it.
func wholeRunes(b []byte) []byte {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if i > 0 && !utf8.FullRune(b[i:]) {
				return b[:i]
			}
			break
		}
	}
	return b
}

// A fileInfo is one entry of a folder, in Mesos' form.
type fileInfo struct {
	Path  string  `json:"path"`
	Size  int64   `json:"size"`
	Mode  string  `json:"mode"`
	Mtime float64 `json:"mtime"`
	Nlink uint64  `json:"nlink"`
	UID   string  `json:"uid"`
	GID   string  `json:"gid"`
}

func (s *Slave) fileBrowse(w http.ResponseWriter, r *http.Request) {
	virtual := r.URL.Query().Get("path")
	f, st, err := s.openFile(virtual)
	if err != nil {
		fail(w, err)
		return
	}
	defer f.Close()
	if !st.IsDir() {
		fail(w, badFile{http.StatusBadRequest, "path is a file (allowed: a folder)"})
		return
	}
	entries, err := f.ReadDir(maxBrowse)
	if err != nil && !errors.Is(err, io.EOF) {
		fail(w, err)
		return
	}
	out := []fileInfo{}
	for _, e := range entries {
		st, err := e.Info()
		if err != nil {
			continue // deleted meanwhile
		}
		info := fileInfo{Path: path.Join(virtual, e.Name()), Size: st.Size(), Mode: st.Mode().String(),
			Mtime: float64(st.ModTime().UnixMilli()) / 1000, Nlink: 1}
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			info.Nlink, info.UID, info.GID = uint64(sys.Nlink), strconv.Itoa(int(sys.Uid)), strconv.Itoa(int(sys.Gid))
		}
		out = append(out, info)
	}
	answer(w, out)
}

func (s *Slave) fileDownload(w http.ResponseWriter, r *http.Request) {
	f, st, err := s.openPlain(r.URL.Query().Get("path"))
	if err != nil {
		fail(w, err)
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", "attachment")
	http.ServeContent(w, r, "", st.ModTime(), f)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_ = json.NewEncoder(w).Encode(v)
}
