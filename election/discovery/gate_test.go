package discovery

import (
	"bytes"
	"compress/lzw"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pack writes fields as the library does: pairs of a name and a string, a number or a truth.
func pack(pairs ...any) []byte {
	b := []byte{0x80 | byte(len(pairs)/2)}
	for _, p := range pairs {
		switch v := p.(type) {
		case string:
			b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(v)))
			b = append(b, v...)
		case []byte:
			b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(len(v)))
			b = append(b, v...)
		case int:
			b = binary.BigEndian.AppendUint64(append(b, 0xcf), uint64(v))
		case bool:
			b = append(b, map[bool]byte{false: 0xc2, true: 0xc3}[v])
		}
	}
	return b
}

func message(kind byte, body ...[]byte) []byte {
	return append([]byte{kind}, bytes.Join(body, nil)...)
}

func packed(plain []byte) []byte {
	var b bytes.Buffer
	w := lzw.NewWriter(&b, lzw.LSB, 8)
	_, _ = w.Write(plain)
	_ = w.Close()
	return message(msgCompress, pack("Algo", 0, "Buf", b.Bytes()))
}

func alive(name string, edit ...any) []byte {
	return message(msgAlive, pack(append([]any{"Incarnation", 9, "Node", name, "Addr", "\x7f\x00\x00\x01", "Port", 9, "Meta", "", "Vsn", "\x01\x05\x02\x00\x00\x00"},
		edit...)...))
}

func member(name string) []byte {
	return pack("Name", name, "State", 0, "Incarnation", 9, "Addr", "\x7f\x00\x00\x01", "Port", 9, "Meta", "", "Vsn", "\x01\x05\x02\x00\x00\x00")
}

func exchange(n, declared int) []byte {
	return message(msgPushPull, pack("Nodes", declared, "UserStateLen", 0, "Join", true), bytes.Repeat(member("ghost"), n))
}

// An attack is something that arrives at a member's port.
type attack struct {
	name  string
	key   []byte // of the member
	udp   bool
	bytes []byte
	want  string
}

func labelled(b []byte) []byte { return append(appendLabel(nil, "test"), b...) }

func sealed(t *testing.T, with []byte, cluster string, b []byte) []byte {
	r, err := newRing([][]byte{with})
	require.NoError(t, err)
	return r.seal(appendLabel(nil, cluster), b, []byte(cluster))
}

func sealedStream(t *testing.T, with []byte, b []byte) []byte {
	r, err := newRing([][]byte{with})
	require.NoError(t, err)
	head := binary.BigEndian.AppendUint32([]byte{msgEncrypt}, uint32(len(b)+sealOverhead))
	return r.seal(labelled(head), b, append(bytes.Clone(head), "test"...))
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewPCG(1, uint64(n))
	for i := range b {
		b[i] = byte(r.Uint64())
	}
	return b
}

func attacks(t *testing.T) []attack {
	wrong := bytes.Repeat([]byte("w"), 32)
	deep := message(msgPushPull, []byte("\x81\xa1x"), bytes.Repeat([]byte{0x91}, 1<<20))
	return []attack{
		{"another cluster, udp", nil, true, append(appendLabel(nil, "other"), alive("ghost")...), `of cluster \"other\", this is cluster \"test\"`},
		{"another cluster, tcp", nil, false, append(appendLabel(nil, "other"), exchange(1, 1)...), `of cluster \"other\", this is cluster \"test\"`},
		{"another cluster with the same key, udp", key, true, sealed(t, key, "other", alive("ghost")), `of cluster \"other\"`},
		{"a label that was exchanged, udp", key, true, labelled(sealed(t, key, "other", alive("ghost"))[labelOverhead+5:]), "a key that this member does not hold"},
		{"no cluster, udp", nil, true, alive("ghost"), "names no cluster"},
		{"no cluster, tcp", nil, false, exchange(1, 1), "names no cluster"},
		{"another key, udp", key, true, sealed(t, wrong, "test", alive("ghost")), "a key that this member does not hold"},
		{"another key, tcp", key, false, sealedStream(t, wrong, exchange(1, 1)), "a key that this member does not hold"},
		{"no key, udp", key, true, labelled(alive("ghost")), "not encrypted"},
		{"no key, tcp", key, false, labelled(exchange(1, 1)), "it is not encrypted, and this member has a key"},
		{"a key where there is none, tcp", nil, false, sealedStream(t, key, exchange(1, 1)), "encrypted, and this member has no key"},
		{"a key where there is none, udp", nil, true, sealed(t, key, "test", alive("ghost")), "no message of gossip"},
		{"random bytes, udp", key, true, random(1000), "names no cluster"},
		{"random bytes, tcp", key, false, random(100_000), "names no cluster"},
		{"random bytes behind the label, udp", nil, true, labelled(random(1000)), "no message of gossip"},
		{"random bytes behind the label, tcp", nil, false, labelled(random(100_000)), "no message of gossip"},
		{"random bytes behind label and key, udp", key, true, sealed(t, key, "test", random(1000)), "no message of gossip"},
		{"random bytes behind label and key, tcp", key, false, sealedStream(t, key, random(1000)), "no message of gossip"},
		{"nothing behind the key, tcp", key, false, sealedStream(t, key, nil), "declares 1 bytes where 0 are left"},
		{"nothing behind the key, udp", key, true, sealed(t, key, "test", nil), "it is empty"},
		{"a packet as large as can be", nil, true, labelled(message(msgAlive, pack("Node", strings.Repeat("x", 65_000)))), "no message of gossip"},
		{"a packet that unpacks to 256 MiB", nil, true, labelled(packed(make([]byte, 16<<20))), "more than 65536 bytes when it is unpacked"},
		{"a stream that unpacks to 64 MiB", nil, false, labelled(packed(make([]byte, 64<<20))), "more than 8388608 bytes when it is unpacked"},
		{"a sealed stream that declares 4 GiB", key, false, labelled([]byte{msgEncrypt, 0xff, 0xff, 0xff, 0xff}), "at most 8388608 are allowed"},
		{"a sealed stream that declares 7 MiB and has 10 bytes", key, false, labelled(append([]byte{msgEncrypt, 0, 0x70, 0, 0}, random(10)...)), "ended after 15"},
		{"an exchange of 65,536 states that has none", nil, false, labelled(exchange(0, 65_536)), "ended after"},
		{"an exchange of 2^40 states", nil, false, labelled(exchange(0, 1<<40)), "its Nodes is not allowed"},
		{"an exchange of 65,536 states that has none, with the key", key, false, sealedStream(t, key, exchange(0, 65_536)), "declares 1 bytes where 0 are left"},
		{"a message that declares 20 MiB", nil, false, labelled(message(msgUser, pack("UserMsgLen", 20<<20))), "its UserMsgLen is not allowed"},
		{"a string that declares 4 GiB", nil, false, labelled([]byte("\x06\x81\xc6\xff\xff\xff\xff")), "at most 8388608 are allowed"},
		{"a string that declares 4 GiB, udp", nil, true, labelled([]byte("\x04\x81\xc6\xff\xff\xff\xff")), "where 0 are left"},
		{"a map of 65,535 fields", nil, false, labelled([]byte("\x06\xde\xff\xff")), "at most 16 are allowed"},
		{"a million nested values", nil, false, labelled(deep), "a value begins with 0x91"},
		{"a million nested values, with the key", key, false, sealedStream(t, key, deep), "a value begins with 0x91"},
		{"packets within packets", nil, true, labelled(packed(packed(alive("ghost")))), "its type is 9"},
		{"a compound that declares more than it has", nil, true, labelled([]byte{msgCompound, 1, 0xff, 0xff, 1}), "declares 65535 bytes where 1 are left"},
		{"a member without versions", nil, true, labelled(message(msgAlive, pack("Incarnation", 9, "Node", "ghost", "Addr", "\x7f\x00\x00\x01", "Port", 9))), "it has no Vsn"},
		{"a member whose versions are short", nil, true, labelled(alive("ghost", "Vsn", "\x01")), "it has the field \\\"Vsn\\\" twice"},
		{"a member whose address is a name", nil, true, labelled(message(msgAlive, pack("Incarnation", 9, "Node", "ghost", "Addr", "example.com", "Port", 9,
			"Vsn", "\x01\x05\x02\x00\x00\x00"))), "its Addr is not allowed"},
		{"a member whose name is a screen full", nil, true, labelled(alive("\x1b[2J")), "its Node is not allowed"},
		{"a member without a name", nil, false, labelled(message(msgPushPull, pack("Nodes", 1, "UserStateLen", 0, "Join", true), member(""))), "its Name is not allowed"},
		{"bytes behind a packet", nil, true, labelled(append(alive("ghost"), 0)), "1 bytes stand behind it"},
		{"a checksum that is wrong", nil, true, labelled(message(msgCRC, []byte{1, 2, 3, 4}, alive("ghost"))), "its checksum is wrong"},
	}
}

// send delivers what an attacker has.
func (c attack) send(t *testing.T, to string) {
	network := map[bool]string{true: "udp", false: "tcp"}[c.udp]
	conn, err := net.Dial(network, to)
	require.NoError(t, err)
	defer conn.Close()
	if c.udp {
		_, err = conn.Write(c.bytes)
		require.NoError(t, err)
		return
	}
	// The member closes before it has read all, which may cost what it answers, too.
	_, _ = conn.Write(c.bytes)
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(conn)
	require.Empty(t, answer)
}

// Each costs one line, no crash, no state and little memory.
func TestGossipThatIsNotOfThisClusterIsRefusedInOneLine(t *testing.T) {
	for _, c := range attacks(t) {
		t.Run(c.name, func(t *testing.T) {
			a := start(t, "a", func(cfg *Config) { cfg.Key = c.key })
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c.send(t, a.Address())
			require.Eventually(t, func() bool { return strings.Contains(a.log.String(), "gossip refused") }, longest, pause)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(32<<20))
			lines := a.log.String()
			require.Equal(t, 1, strings.Count(lines, "gossip refused"), lines)
			require.Contains(t, lines, c.want)
			require.Contains(t, lines, map[bool]string{true: "over=udp", false: "over=tcp"}[c.udp])
			require.Equal(t, "a alive master", states(a.Members()))
		})
	}
}

// After all of them, the member goes on as before.
func TestAMemberThatWasAttackedGoesOn(t *testing.T) {
	for _, k := range [][]byte{key, nil} {
		with := func(c *Config) { c.Key = k }
		a := start(t, "a", with)
		for _, c := range attacks(t) {
			if (c.key == nil) == (k == nil) {
				c.send(t, a.Address())
			}
		}
		b := start(t, "b", joins(a.Address()), with)
		b.eventually(is("a alive master, b alive master"))
		a.eventually(is("a alive master, b alive master"))
	}
}

// What is fine passes, also where it is unusual: packed, in several parts, with a checksum.
func TestWhatTheLibraryWritesPasses(t *testing.T) {
	ping := message(msgPing, pack("SeqNo", 7, "Node", "b", "SourceAddr", "\x7f\x00\x00\x01", "SourcePort", 5, "SourceNode", "a"))
	suspect := message(msgSuspect, pack("Incarnation", 1, "Node", "b", "From", "a"))
	compound := []byte{msgCompound, 2}
	compound = binary.BigEndian.AppendUint16(compound, uint16(len(ping)))
	compound = binary.BigEndian.AppendUint16(compound, uint16(len(suspect)))
	compound = append(append(compound, ping...), suspect...)
	for _, b := range [][]byte{ping, suspect, compound, alive("b"), message(msgUser, []byte("anything")), message(msgAck, pack("SeqNo", 1))} {
		out, err := checkPacket(b)
		require.NoError(t, err)
		require.Equal(t, b, out)
		out, err = checkPacket(packed(b))
		require.NoError(t, err)
		require.Equal(t, b, out)
	}
	for _, b := range [][]byte{ping, exchange(3, 3), message(msgUser, pack("UserMsgLen", 3), []byte("abc"))} {
		for _, in := range [][]byte{b, packed(b)} {
			out, err := readStream(bytes.NewReader(in), nil, "test", free)
			require.NoError(t, err)
			require.Equal(t, b, out)
		}
	}
}

func TestAFloodIsOneLineOfEachKind(t *testing.T) {
	a := start(t, "a")
	conn, err := net.Dial("udp", a.Address())
	require.NoError(t, err)
	defer conn.Close()
	began := time.Now()
	for i := range 2000 {
		_, err := conn.Write(random(i%1000 + 1))
		require.NoError(t, err)
	}
	b := start(t, "b", joins(a.Address()))
	b.eventually(is("a alive master, b alive master"))
	require.LessOrEqual(t, strings.Count(a.log.String(), "gossip refused"), 2*int(2+time.Since(began)/quietFor))
}

// Streams that are opened and left are counted and end, and those that come meanwhile are not kept out by a few of them.
func TestStreamsThatAreLeftOpenEnd(t *testing.T) {
	a := start(t, "a")
	var idle []net.Conn
	for range maxStreams - 1 {
		conn, err := net.Dial("tcp", a.Address())
		require.NoError(t, err)
		idle = append(idle, conn)
	}
	b := start(t, "b", joins(a.Address()))
	b.eventually(is("a alive master, b alive master"))
	for _, conn := range idle {
		_, err := conn.Read(make([]byte, 1))
		require.Error(t, err)
		require.NoError(t, conn.Close())
	}
}

func TestQuietCountsWhatItHoldsBack(t *testing.T) {
	var q quiet
	now := time.Unix(1000, 0)
	ok, _ := q.allow("x", now)
	require.True(t, ok)
	for range 5 {
		ok, _ = q.allow("x", now.Add(time.Second))
		require.False(t, ok)
	}
	ok, more := q.allow("x", now.Add(quietFor))
	require.True(t, ok)
	require.Equal(t, 5, more)
	for i := range 10 * quietKeys {
		q.allow(fmt.Sprint(i), now)
	}
	require.LessOrEqual(t, len(q.lines), quietKeys)
}

func TestAClusterIsNotFilledWithMembersThatAreMadeUp(t *testing.T) {
	tb := newTable(time.Hour)
	for i := range maxMembers + maxDeparted {
		require.True(t, tb.hasRoom("x"))
		tb.put(time.Unix(1, 0), fmt.Sprint(i), "n:1", nil)
	}
	require.False(t, tb.hasRoom("x"))
	require.True(t, tb.hasRoom("7"), "who is there may change")
}

func FuzzMessage(f *testing.F) {
	f.Add(alive("a"))
	f.Add(packed(alive("a")))
	f.Add(exchange(2, 2))
	f.Add(packed(exchange(1, 1)))
	f.Add([]byte{msgCompound, 1, 0, 3, msgUser, 1, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := checkPacket(bytes.Clone(b)); err == nil {
			require.LessOrEqual(t, len(out), max(maxPacket, len(b)))
			if len(out) < 5 || out[0] != msgCRC {
				again, err := checkPacket(out)
				require.NoError(t, err)
				require.Equal(t, out, again)
			}
		}
		asked := 0
		take := func(n int) error { asked += n; return nil }
		out, err := readStream(bytes.NewReader(b), nil, "test", take)
		require.LessOrEqual(t, asked, 4*maxStream+stateSize*(len(b)+len(out)))
		if err != nil {
			return
		}
		again, err := readStream(bytes.NewReader(out), nil, "test", free)
		require.NoError(t, err)
		require.Equal(t, out, again)
		keys, err := newRing([][]byte{key})
		require.NoError(t, err)
		head := binary.BigEndian.AppendUint32([]byte{msgEncrypt}, uint32(len(out)+sealOverhead))
		sealed := keys.seal(bytes.Clone(head), out, append(head, "test"...))
		again, err = readStream(bytes.NewReader(sealed), keys, "test", free)
		require.NoError(t, err)
		require.Equal(t, out, again)
	})
}
