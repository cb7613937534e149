package wire

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
)

// A Writer encodes many values one after the other, for less than the Append functions do. It is for one goroutine.
type Writer struct{ c *codec }

// NewWriter returns a Writer, which is to be closed.
func NewWriter() Writer {
	c := codecs.Get().(*codec)
	c.enc = true
	return Writer{c}
}

// Close ends the use of w.
func (w Writer) Close() {
	w.c.enc = false
	w.c.wroteResources.forget()
	w.c.wroteFramework.forget()
	codecs.Put(w.c)
}

// Message is AppendMessage.
func (w Writer) Message(dst []byte, m message.Message) ([]byte, error) {
	w.c.out.b = dst
	w.c.message(&m)
	return w.written(dst)
}

// Record is AppendRecord.
func (w Writer) Record(dst []byte, r slavecore.Record) ([]byte, error) {
	w.c.out.b = dst
	w.c.journalRecord(&r)
	return w.written(dst)
}

// written ends a value; after an error dst is as it was.
func (w Writer) written(dst []byte) ([]byte, error) {
	out, err := w.c.out.b, w.c.err
	w.c.out.b, w.c.err = nil, nil
	if err != nil {
		return dst, err
	}
	return out, nil
}
