package discovery

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Five members change their key one after the other, in three rounds, and at no moment is there one that does not understand another.
func TestTheKeyOfARunningClusterIsChanged(t *testing.T) {
	old, next := bytes.Repeat([]byte("o"), 32), bytes.Repeat([]byte("n"), 16)
	with := func(k []byte) func(*Config) { return func(c *Config) { c.Key = k } }
	nodes := []*running{start(t, "m-0", with(old))}
	for i := range 4 {
		nodes = append(nodes, start(t, fmt.Sprint("m-", i+1), with(old), joins(nodes[0].Address())))
	}
	for _, n := range nodes {
		n.eventually(is("m-0 alive master, m-1 alive master, m-2 alive master, m-3 alive master, m-4 alive master"))
	}
	step := 0
	for _, keys := range [][][]byte{{old, next}, {next, old}, {next}} {
		for _, i := range rand.Perm(len(nodes)) {
			require.NoError(t, nodes[i].SetKeys(keys...))
			step++
			for _, n := range nodes {
				require.NoError(t, n.UpdateTags(map[string]string{"step": strconv.Itoa(step)}))
			}
			for _, n := range nodes {
				n.eventually(func(members []Member) bool {
					heard := 0
					for _, m := range members {
						if m.State == Alive && m.Tags["step"] == strconv.Itoa(step) {
							heard++
						}
					}
					return heard == len(nodes)
				})
			}
		}
	}
	for _, n := range nodes {
		require.NotContains(t, n.log.String(), "gossip refused")
		require.NotContains(t, n.log.String(), "Marking")
	}
	fresh := start(t, "m-5", with(next), joins(nodes[2].Address()))
	fresh.eventually(func(m []Member) bool { return len(m) == 6 })
	late := start(t, "m-6", with(old), joins(nodes[2].Address()))
	require.Eventually(t, func() bool { return strings.Contains(late.log.String(), "same cluster name and key") }, longest, pause)
	require.Len(t, late.Members(), 1)
	require.Contains(t, nodes[2].log.String(), "a key that this member does not hold")
}

func TestKeysThatAreWrongAreNamed(t *testing.T) {
	for want, keys := range map[string][][]byte{
		"key 2 has 3 bytes":           {key, []byte("abc")},
		"keys 1 and 3 are the same":   {key, key[:16], key},
		"at most 8 are allowed":       make([][]byte, 9),
		"between plain and encrypted": nil,
	} {
		g, err := New(Config{Key: key})
		require.NoError(t, err)
		require.ErrorContains(t, g.SetKeys(keys...), want)
	}
	g, err := New(Config{})
	require.NoError(t, err)
	require.ErrorContains(t, g.SetKeys(key), "between plain and encrypted")
	_, err = New(Config{MoreKeys: [][]byte{key}})
	require.ErrorContains(t, err, "Config.Key is not")
	_, err = New(Config{Key: key, MoreKeys: [][]byte{[]byte("x")}})
	require.ErrorContains(t, err, "key 2 has 1 bytes")
	require.Len(t, KeyMark(key), 8)
	require.NotEqual(t, KeyMark(key), KeyMark(key[:16]))
}
