package zookeeper

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
)

func TestAddresses(t *testing.T) {
	for text, want := range map[string]Address{
		"zk://h/meros":                       {Servers: []string{"h:2181"}, Path: "/meros"},
		"zk://h1:1,h2,10.0.0.1:3/a/b":        {Servers: []string{"h1:1", "h2:2181", "10.0.0.1:3"}, Path: "/a/b"},
		"zk://user:pa:ss@wo@h1,[::1]:2182/p": {Servers: []string{"h1:2181", "[::1]:2182"}, Path: "/p", User: "user", Password: "pa:ss@wo"},
		"zk://[fe80::1]/p":                   {Servers: []string{"[fe80::1]:2181"}, Path: "/p"},
	} {
		a, err := ParseAddress(text)
		require.NoError(t, err, text)
		require.Equal(t, want, a)
		require.NotContains(t, a.String(), "pa:ss")
		again, err := ParseAddress(strings.Replace(a.String(), "***", "pa:ss@wo", 1))
		require.NoError(t, err)
		require.Equal(t, a, again)
	}
	for text, says := range map[string]string{
		"":                       "must be zk://",
		"http://h/p":             "must be zk://",
		"zk://h":                 "has no path",
		"zk://":                  "has no path",
		"zk://h/":                "is the root",
		"zk:///p":                "server \"\" must be host",
		"zk://h,,g/p":            "server \"\" must be host",
		"zk://h:0/p":             "must have a port from 1 to 65535",
		"zk://h:70000/p":         "must have a port from 1 to 65535",
		"zk://h:x/p":             "must have a port from 1 to 65535",
		"zk://::1/p":             "must be host, host:port or [IPv6]:port",
		"zk://h/p/":              "none of them empty",
		"zk://h/p//q":            "none of them empty",
		"zk://h/p/../q":          "a dot or two",
		"zk://h/zookeeper/quota": "not below /zookeeper",
		"zk://h/p,g":             "all servers stand before the one path",
		"zk://h/p,zk://g/p":      "all servers stand before the one path",
		"zk:/h/p":                "must be zk://",
		"ZK://h/p":               "must be zk://",
		"zk://h/p q":             "printable ASCII",
		"zk://secret@h/p":        "must have user:password before the @",
		"zk://:secret@h/p":       "must have user:password before the @",
		"zk://user:@h/p":         "must have user:password before the @",
		"zk://u:sec/ret@h/p":     "must not have both a slash and an @",
		"zk://u:secret@h":        "has no path",
		"zk://" + strings.Repeat("h,", 31) + "h/p": "at most 31 are allowed",
		"zk://" + strings.Repeat("h", 5000) + "/p": "at most 4096 are allowed",
	} {
		_, err := ParseAddress(text)
		require.ErrorContains(t, err, says, text)
		if strings.Contains(text, "sec") {
			require.NotContains(t, err.Error(), "sec", text)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("zk://user:pass@h1:1,[::1]/a/b")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		a.User, a.Password = "", ""
		again, err := ParseAddress(a.String())
		require.NoError(t, err)
		require.Equal(t, a, again)
	})
}

func TestEntriesInANode(t *testing.T) {
	entries := [][]byte{[]byte("a"), {}, make([]byte, election.MaxEntry)}
	data := pack(7, entries)
	got, err := unpack(data)
	require.NoError(t, err)
	require.Equal(t, entries, got)
	require.NotEqual(t, data, pack(8, entries)) // two tries are told apart
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 { // any flipped bit and any shorter length is noticed
		bad := append([]byte(nil), data[:rnd.IntN(len(data))+1]...)
		bad[rnd.IntN(len(bad))] ^= 1 << rnd.IntN(8)
		_, err := unpack(bad)
		require.ErrorIs(t, err, ErrDamaged)
	}
	for _, n := range []int{0, batchEntries + 1} {
		_, err := unpack(pack(1, make([][]byte, n)))
		require.ErrorIs(t, err, ErrDamaged)
	}
}

func FuzzNode(f *testing.F) {
	f.Add([]byte{})
	f.Add(pack(1, [][]byte{[]byte("a"), []byte("b")}))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = unpack(data)
		_, _ = unpack(seal(append([]byte(nil), data...)))
		_, _ = unpackInfo(data)
		_, _ = parsePointer(data)
	})
}
