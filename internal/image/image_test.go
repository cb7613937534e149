package image

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/btree"
)

type shapes interface{ area() int }

type square struct{ side int }

type boxed struct {
	of   shapes
	next *node
}

func (s square) area() int { return s.side * s.side }
func (b *boxed) area() int { return b.of.area() }

type node struct {
	name  string
	on    bool
	count int32
	wide  uint64
	when  time.Time
	peers []*node
	self  *node
	shape shapes
	byKey map[string]*node
	sizes map[[2]int16][]uint8
	pairs [3]struct {
		flag bool
		text string
	}
	numbers []uint16
	sub     []inner
	tree    btree.Map[uint64, *node]
	slot    *[]int
	maps    map[string]map[string]int
	_       struct{}
	extra   map[string]inner
	floats  [2]float64
}

type inner struct {
	a uint8
	b uint64
	c []string
}

func codec(t testing.TB) *Codec[node] {
	c, err := New[node]([]any{square{}, &boxed{}}, Field{"github.com/tidwall/btree", "isoid"})
	require.NoError(t, err)
	return c
}

// graph makes nodes that refer to each other at random.
func graph(seed uint64) *node {
	r := rand.New(rand.NewPCG(seed, 1))
	all := make([]*node, 1+r.IntN(20))
	for i := range all {
		all[i] = &node{}
	}
	some := func() *node { return all[r.IntN(len(all))] }
	shared := []uint16{1, 2, 3}
	table := map[string]*node{"x": some()}
	for i, n := range all {
		n.name, n.on, n.count, n.wide = strconv.Itoa(i), r.IntN(2) == 0, int32(r.Int32()), r.Uint64()
		n.floats[1] = r.Float64()
		if r.IntN(3) > 0 {
			n.when = time.Unix(r.Int64N(1e10)-1e9, r.Int64N(1e9)).UTC()
			n.numbers = shared
			n.sizes = map[[2]int16][]uint8{{1, 2}: {3, 4}, {5}: nil, {6}: {}}
			n.byKey = map[string]*node{n.name: n, "y": some()}
			n.maps = map[string]map[string]int{"a": {"b": i}, "c": nil}
			n.extra = map[string]inner{"e": {a: 1, b: 2, c: []string{n.name}}}
			n.slot = &[]int{i, 2}
		} else {
			n.byKey = table
			n.peers = []*node{}
		}
		if r.IntN(2) == 0 {
			n.self = some()
			n.peers = []*node{some(), nil, some()}
			n.sub = []inner{{1, 2, []string{"p", ""}}, {3, 4, nil}}
			n.pairs[1].text, n.pairs[1].flag = "q", true
			n.shape = square{i}
		}
		if r.IntN(2) == 0 {
			b := &boxed{of: square{i}, next: some()}
			n.shape = &boxed{of: b, next: n}
			for k := range r.IntN(200) {
				n.tree.Set(uint64(k), some())
			}
		}
	}
	return all[0]
}

func TestAnImageComesBackAsItWas(t *testing.T) {
	c := codec(t)
	for seed := range uint64(300) {
		want := graph(seed)
		b, err := c.Encode(nil, want)
		require.NoError(t, err)
		got, err := c.Decode(b)
		require.NoError(t, err)
		require.Equal(t, want, got)
		again, err := c.Encode(nil, got)
		require.NoError(t, err)
		require.Len(t, again, len(b))
	}
}

func TestWhatIsSharedStaysShared(t *testing.T) {
	a, b := &node{name: "a"}, &node{name: "b"}
	list := []uint16{1}
	table := map[string]*node{"a": a}
	a.self, a.peers, a.numbers, a.byKey = b, []*node{a, b}, list, table
	b.self, b.numbers, b.byKey = a, list, table
	c := codec(t)
	image, err := c.Encode(nil, a)
	require.NoError(t, err)
	got, err := c.Decode(image)
	require.NoError(t, err)
	require.Same(t, got, got.peers[0])
	require.Same(t, got.self, got.peers[1])
	require.Same(t, got, got.self.self)
	require.Same(t, &got.numbers[0], &got.self.numbers[0])
	got.byKey["z"] = got
	require.Same(t, got, got.self.byKey["z"])
	list[0], a.name = 9, "changed"
	require.Equal(t, uint16(1), got.numbers[0])
}

func TestATreeThatComesBackCanBeCopiedAndChanged(t *testing.T) {
	c := codec(t)
	n := &node{}
	for k := range uint64(1000) {
		n.tree.Set(k, n)
	}
	for range 10 {
		n.tree.Copy()
	}
	b, err := c.Encode(nil, n)
	require.NoError(t, err)
	got, err := c.Decode(b)
	require.NoError(t, err)
	view := got.tree.Copy()
	for k := range uint64(1000) {
		got.tree.Delete(k)
		got.tree.Set(5000+k, got)
	}
	require.Equal(t, 1000, view.Len())
	_, ok := view.Get(999)
	require.True(t, ok)
}

func TestWhatCannotBeKeptIsRefused(t *testing.T) {
	_, err := New[struct{ f func() }](nil)
	require.ErrorContains(t, err, "f: image: func() cannot be kept")
	c, err := New[node](nil)
	require.NoError(t, err)
	_, err = c.Encode(nil, &node{shape: square{1}})
	require.ErrorContains(t, err, "image.square, which the codec was not told of")
}

func TestFingerprintsTellTypesApart(t *testing.T) {
	a, err := New[node]([]any{square{}})
	require.NoError(t, err)
	b, err := New[node]([]any{&boxed{}, square{}})
	require.NoError(t, err)
	same, err := New[node]([]any{square{}, &boxed{}, square{}})
	require.NoError(t, err)
	require.NotEqual(t, a.Fingerprint(), b.Fingerprint())
	require.Equal(t, b.Fingerprint(), same.Fingerprint())
}

func TestHashesFollowTheContent(t *testing.T) {
	sum := func(n *node) uint64 {
		h := NewHasher()
		Add(h, n)
		return h.Sum()
	}
	seen := map[uint64]bool{}
	base := func() *node {
		return &node{name: "n", when: time.Unix(1, 2), numbers: []uint16{1, 2}, byKey: map[string]*node{"k": {}, "l": {on: true}}, shape: square{2}}
	}
	require.Equal(t, sum(base()), sum(base()))
	for _, change := range []func(*node){
		func(*node) {}, func(n *node) { n.name = "m" }, func(n *node) { n.on = true }, func(n *node) { n.when = n.when.Add(1) },
		func(n *node) { n.numbers[1] = 3 }, func(n *node) { n.byKey["k"].count = 1 }, func(n *node) { n.shape = square{3} },
		func(n *node) { n.shape = &boxed{of: square{2}} }, func(n *node) { n.self = &node{} }, func(n *node) { n.sub = []inner{{}} },
		func(n *node) { n.pairs[2].flag = true },
	} {
		n := base()
		change(n)
		require.False(t, seen[sum(n)])
		seen[sum(n)] = true
	}
	empty := base()
	empty.peers, empty.maps = []*node{}, map[string]map[string]int{}
	require.Equal(t, sum(base()), sum(empty))
	require.NotZero(t, sum(&node{self: &node{}}))
}

// FuzzDecode holds a decoder to its bounds: no panic, and what it takes can be encoded again.
func FuzzDecode(f *testing.F) {
	c := codec(f)
	for seed := range uint64(8) {
		b, err := c.Encode(nil, graph(seed))
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := c.Decode(b)
		if err != nil {
			return
		}
		_, err = c.Encode(nil, got)
		require.NoError(t, err)
	})
}
