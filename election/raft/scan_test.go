package raft

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	hraft "github.com/hashicorp/raft"
	"github.com/stretchr/testify/require"
)

// message encodes a request as the library's transport does.
func message(t testing.TB, kind byte, req any) []byte {
	var b bytes.Buffer
	b.WriteByte(kind)
	mp := &codec.MsgpackHandle{}
	mp.TimeNotBuiltin = true
	require.NoError(t, codec.NewEncoder(&b, mp).Encode(req))
	return b.Bytes()
}

func requests(t testing.TB) []byte {
	header := hraft.RPCHeader{ProtocolVersion: 3, ID: []byte("m-1"), Addr: []byte("127.0.0.1:5050")}
	entries := make([]*hraft.Log, 16)
	for i := range entries {
		entries[i] = &hraft.Log{Index: uint64(i), Term: 3, Data: bytes.Repeat([]byte{byte(i)}, 128<<10), AppendedAt: time.Unix(1, 2)}
	}
	var all []byte
	all = append(all, message(t, 0, &hraft.AppendEntriesRequest{RPCHeader: header, Term: 3, PrevLogEntry: 7,
		PrevLogTerm: 2, Entries: entries, LeaderCommitIndex: 6})...)
	all = append(all, message(t, 1, &hraft.RequestVoteRequest{RPCHeader: header, Term: 4, LeadershipTransfer: true})...)
	all = append(all, message(t, 2, &hraft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: 1, Term: 4,
		Configuration: make([]byte, 300), Size: 100_000})...)
	all = append(all, bytes.Repeat([]byte{0xdd, 0xff}, 50_000)...) // the snapshot is never looked at
	all = append(all, message(t, 3, &hraft.TimeoutNowRequest{RPCHeader: header})...)
	all = append(all, message(t, 4, &hraft.RequestPreVoteRequest{RPCHeader: header, Term: 1 << 40})...)
	all = append(all, message(t, 2, &hraft.InstallSnapshotRequest{RPCHeader: header, Size: 0})...)
	return append(all, message(t, 3, &hraft.TimeoutNowRequest{})...)
}

func TestWhatTheLibrarySendsPassesInPiecesOfAnySize(t *testing.T) {
	all := requests(t)
	for _, piece := range []int{1, 2, 7, 4096, len(all)} {
		s := scanner{requests: true, maxSnapshot: 1 << 20}
		for rest := all; len(rest) > 0; {
			n := min(piece, len(rest))
			require.NoError(t, s.feed(rest[:n]))
			rest = rest[n:]
		}
		require.False(t, s.started)
		require.Zero(t, s.body)
	}
}

func TestAnswersPass(t *testing.T) {
	var b bytes.Buffer
	enc := codec.NewEncoder(&b, &codec.MsgpackHandle{})
	for _, v := range []any{"", &hraft.AppendEntriesResponse{Term: 7, LastLog: 1 << 40, Success: true}, "an error", nil,
		"", &hraft.InstallSnapshotResponse{Success: true}} {
		require.NoError(t, enc.Encode(v))
	}
	var s scanner
	require.NoError(t, s.feed(b.Bytes()))
	require.False(t, s.started)
}

func TestWhatIsRefused(t *testing.T) {
	long := func(head byte, n uint32) string { return string(binary.BigEndian.AppendUint32([]byte{head}, n)) }
	for name, c := range map[string]struct{ bytes, want string }{
		"unknown type":       {"\x05", "its type is 5"},
		"long byte string":   {"\x00\x81\xa1a" + long(0xc6, 256<<20), "a string of 268435456 bytes"},
		"long string":        {"\x00\x81" + long(0xdb, 1<<20+1), "a string of 1048577 bytes"},
		"long array":         {"\x00\x81\xa1a" + long(0xdd, 1<<32-1), "4294967295 elements"},
		"long map":           {"\x00" + long(0xdf, 5000), "5000 elements"},
		"nested":             {"\x00\x81\xa1a" + strings.Repeat("\x91", 8), "nested deeper than 8"},
		"extension":          {"\x00\x81\xa1a\xd4", "kind 0xd4"},
		"fields by position": {"\x02\x9a", "an array, not a map"},
		"huge snapshot":      {"\x02\x81\xa4Size\xcf" + strings.Repeat("\x7f", 8), "a snapshot of"},
		"negative snapshot":  {"\x02\x81\xa4Size\xff", "a snapshot of -1 bytes"},
		"name as an array":   {"\x02\x81\x94Size\x30", "a field's name is no string"},
		"name as a number":   {"\x02\x81\x07\x30", "a field's name is no string"},
		"name as nothing":    {"\x02\x81\xc0\x30", "a field's name is no string"},
		"size twice":         {"\x02\x82\xa4Size\x01\xa4Size\x02", "given twice"},
		"size as a string":   {"\x02\x81\xa4Size\xa1x", "is no number"},
		"size as a list":     {"\x02\x81\xa4Size\x91\x01", "is no number"},
		"size as nothing":    {"\x02\x81\xa4Size\xc0", "a snapshot of"},
		"too much in all": {"\x00\x81\xa1a\xdc\x00\x10" + strings.Repeat(long(0xc6, 1<<20)+strings.Repeat("x", 1<<20), 8),
			"more than 8388608 bytes"},
	} {
		s := scanner{requests: true, maxSnapshot: 1 << 30}
		require.ErrorContains(t, s.feed([]byte(c.bytes)), c.want, name)
	}
}

// Whatever the scanner lets through, the decoder takes without more memory than the scanner's limits allow, and both agree on where a
// message ends.
func FuzzScanner(f *testing.F) {
	f.Add(message(f, 2, &hraft.InstallSnapshotRequest{Size: 3}))
	f.Add(message(f, 0, &hraft.AppendEntriesRequest{Term: 3, Entries: []*hraft.Log{{Index: 1, Data: []byte("x")}}}))
	f.Add([]byte("\x02\x81\xa4Size\x03abc"))
	f.Add([]byte("\x02\x81\x94Size\x30"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := scanner{requests: true, maxSnapshot: 1 << 20}
		end := -1
		for i, c := range b {
			if s.feed([]byte{c}) != nil {
				return
			}
			if i > 0 && !s.started {
				end = i + 1
				break
			}
		}
		if end < 0 || b[0] != rpcInstallSnapshot {
			return
		}
		r := bytes.NewReader(b[1:])
		var req hraft.InstallSnapshotRequest
		if err := codec.NewDecoder(r, &codec.MsgpackHandle{}).Decode(&req); err != nil {
			return
		}
		require.Equal(t, len(b)-end, r.Len())
		require.Equal(t, s.body, req.Size)
	})
}
