package masterhttp

import (
	"net/http"
	"time"
)

// snapshotPause is how long a client may take to read a part of a snapshot.
const snapshotPause = 15 * time.Second

// snapshot streams the registry. A client that has read all of it knows by the checksum at its end.
func (h *handler) snapshot(w http.ResponseWriter, r *http.Request) {
	out := &patientWriter{w: w, control: http.NewResponseController(w)}
	err := h.s.Snapshot(r.Context(), out)
	switch {
	case err == nil:
	case out.begun:
		panic(http.ErrAbortHandler) // a part was sent: the connection ends without an end of the answer
	default:
		fail(w, statusOf(err), err)
	}
}

// A patientWriter gives each part of an answer its own time.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", "application/octet-stream")
	}
	_ = p.control.SetWriteDeadline(time.Now().Add(snapshotPause)) // not every server has one
	return p.w.Write(b)
}
