package wire

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/meros-project/meros/internal/registry"
)

// snapshotMagic opens a snapshot of the registry and names its version.
const snapshotMagic = "MEROSsn1"

// maxSnapshotItem is the longest item of a snapshot, in bytes.
const maxSnapshotItem = 4 << 20

// WriteSnapshot writes the records of an export to w: the magic, then for each record a u32 length in big endian and [kind, [fields...]]. It
// needs the memory of one record. It returns the bytes written.
func WriteSnapshot(w io.Writer, records iter.Seq[registry.Record]) (int64, error) {
	out := bufio.NewWriterSize(w, 64<<10)
	if _, err := out.WriteString(snapshotMagic); err != nil {
		return 0, err
	}
	written := int64(len(snapshotMagic))
	b := make([]byte, 0, 1024)
	for r := range records {
		var err error
		if b, err = AppendSnapshotRecord(b[:4], r); err != nil {
			return written, err
		}
		if len(b)-4 > maxSnapshotItem {
			return written, tooLarge("snapshot record of %d bytes (allowed: %d)", len(b)-4, maxSnapshotItem)
		}
		binary.BigEndian.PutUint32(b, uint32(len(b)-4))
		if _, err := out.Write(b); err != nil {
			return written, err
		}
		written += int64(len(b))
	}
	return written, out.Flush()
}

// ReadSnapshot yields the records that WriteSnapshot wrote, up to the end of r. It yields an error once, as the last. It needs the memory of
// one record, and reads ahead.
func ReadSnapshot(r io.Reader) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		magic := make([]byte, len(snapshotMagic))
		if _, err := io.ReadFull(in, magic); err != nil {
			yield(nil, asMalformed("snapshot: no magic", err))
			return
		}
		if string(magic) != snapshotMagic {
			err := malformed("snapshot: begins with %q", magic)
			if string(magic[:7]) == snapshotMagic[:7] {
				err = unsupported("snapshot of version %q (known: %q)", magic[7:], snapshotMagic[7:])
			}
			yield(nil, err)
			return
		}
		var b []byte
		for {
			record, err := nextRecord(in, &b)
			if err == io.EOF {
				return
			}
			if !yield(record, err) || err != nil {
				return
			}
		}
	}
}

func asMalformed(what string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return malformed("%s: it ends too early", what)
	}
	return fmt.Errorf("wire: %s: %w", what, err)
}

// nextRecord reads one record, with *b as the buffer; io.EOF when there is none.
func nextRecord(in *bufio.Reader, b *[]byte) (registry.Record, error) {
	var head [4]byte
	if n, err := io.ReadFull(in, head[:]); err != nil {
		if n == 0 && err == io.EOF {
			return nil, err
		}
		return nil, asMalformed("snapshot record", err)
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > maxSnapshotItem {
		return nil, tooLarge("snapshot record of %d bytes (allowed: %d)", n, maxSnapshotItem)
	}
	buf := (*b)[:0]
	for len(buf) < n { // memory follows what is there, not what was announced
		have := len(buf)
		want := min(n, max(cap(buf), 4*have, 4096))
		if cap(buf) < want {
			buf = append(make([]byte, 0, want), buf...)
		}
		buf = buf[:want]
		if _, err := io.ReadFull(in, buf[have:]); err != nil {
			return nil, asMalformed("snapshot record", err)
		}
	}
	*b = buf
	return DecodeSnapshotRecord(buf)
}

// AppendSnapshotRecord appends the encoding of one record of an export to dst.
func AppendSnapshotRecord(dst []byte, r registry.Record) ([]byte, error) {
	return write(dst, func(c *codec) { c.snapshotRecord(&r) })
}

// DecodeSnapshotRecord reads what AppendSnapshotRecord wrote; b holds nothing else.
func DecodeSnapshotRecord(b []byte) (registry.Record, error) {
	var r registry.Record
	if err := read(b, Limits{}, func(c *codec) { c.snapshotRecord(&r) }); err != nil {
		return nil, err
	}
	return r, nil
}

func (c *codec) snapshotRecord(r *registry.Record) {
	variant(c, "snapshot record", &records, func(r registry.Record) uint8 { return uint8(r.RecordKind()) }, r)
}

func record[T any](n int, f func(*codec, *T)) kind[registry.Record] {
	return of[registry.Record](fields(n, f))
}

// records has the fields of each kind of snapshot record, in an order that only ever grows at the end.
var records = [256]kind[registry.Record]{
	registry.RecordHeader: record(8, func(c *codec, v *registry.Header) {
		text(c, &v.Cluster)
		number(c, &v.Reign)
		text(c, &v.Master)
		number(c, &v.Level)
		number(c, &v.NextSlave)
		number(c, &v.NextFramework)
		number(c, &v.Commands)
		list(c, &v.Tokens, (*codec).token)
	}),
	registry.RecordSlave: record(6, func(c *codec, v *registry.SlaveRecord) {
		c.slave(&v.Slave)
		number(c, &v.State)
		c.moment(&v.Since)
		c.flag(&v.Inactive)
		optional(c, &v.Drain, (*codec).drain)
		c.flag(&v.Drained)
	}),
	registry.RecordGone: record(1, func(c *codec, v *registry.GoneRecord) { number(c, &v.Number) }),
	registry.RecordFramework: record(3, func(c *codec, v *registry.FrameworkRecord) {
		c.framework(&v.Framework)
		c.flag(&v.Connected)
		signed(c, &v.Remaining)
	}),
	registry.RecordRole: record(4, func(c *codec, v *registry.RoleRecord) {
		text(c, &v.Role)
		signed(c, &v.Weight)
		c.quantities(&v.Guarantee)
		c.quantities(&v.Limit)
	}),
	registry.RecordKey: record(3, func(c *codec, v *registry.KeyRecord) {
		number(c, &v.Seq)
		bytes16(c, &v.Key)
		c.result(&v.Result)
	}),
	registry.RecordTrailer: record(5, func(c *codec, v *registry.Trailer) {
		signed(c, &v.Slaves)
		signed(c, &v.Gone)
		signed(c, &v.Frameworks)
		signed(c, &v.Roles)
		signed(c, &v.Keys)
	}),
}

func (c *codec) token(v *registry.Token) {
	o := c.open(3)
	bytes16(c, &v.Hash)
	c.moment(&v.Expires)
	text(c, &v.Member)
	c.shut(o)
}

func (c *codec) result(v *registry.Result) {
	o := c.open(5)
	optional(c, &v.Err, (*codec).refusal)
	number(c, &v.Reign)
	text(c, &v.Cluster)
	text(c, &v.Slave)
	text(c, &v.Framework)
	c.shut(o)
}
