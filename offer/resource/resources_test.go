package resource_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer/resource"
)

var parse = resource.Must

func volume(id string, size int64) resource.Resource {
	r := resource.NewScalar(resource.Disk, resource.Units(size))
	r.Reservations = []resource.Reservation{{Type: resource.Dynamic, Role: "ops", Principal: "alice"}}
	r.Volume = &resource.Volume{ID: id, ContainerPath: "data"}
	return r
}

func shared(id string, count int) resource.Resources {
	r := volume(id, 64)
	r.Shared, r.SharedCount = true, count
	return made(r)
}

func made(items ...resource.Resource) resource.Resources {
	r, err := resource.New(items...)
	if err != nil {
		panic(err)
	}
	return r
}

func TestNewIsCanonical(t *testing.T) {
	items := []resource.Resource{
		resource.NewRanges("ports", resource.Range{Begin: 5, End: 6}, resource.Range{Begin: 1, End: 4}),
		resource.NewScalar("cpus", 1500), resource.NewScalar("mem", 0), resource.NewItems("disks", "b", "a"), resource.NewScalar("cpus", 500),
	}
	r := made(items...)
	require.Equal(t, "cpus:2;disks:{a,b};ports:[1-6]", r.String())
	require.Equal(t, []string{"cpus", "disks", "ports"}, r.Names())
	require.NoError(t, r.Validate(resource.Limits{}))
	require.Equal(t, "b", items[3].Set[0], "New must not write to its arguments")
	require.Equal(t, uint64(5), items[0].Ranges[0].Begin, "New must not write to its arguments")
	require.Nil(t, made())
	require.Nil(t, made(resource.NewScalar("cpus", 0)))
}

func TestArithmeticTable(t *testing.T) {
	for _, c := range []struct{ a, b, sum, rest string }{
		{"cpus:0.1", "cpus:0.2", "cpus:0.3", "no"},
		{"cpus:4;mem:64", "mem:64", "cpus:4;mem:128", "cpus:4"},
		{"cpus:4", "cpus:4", "cpus:8", ""},
		{"cpus:4", "", "cpus:4", "cpus:4"},
		{"", "cpus:4", "cpus:4", "no"},
		{"cpus(a):4", "cpus:1", "cpus:1;cpus(a):4", "no"},
		{"cpus(a):4;cpus:2", "cpus(a):1", "cpus:2;cpus(a):5", "cpus:2;cpus(a):3"},
		{"ports:[1-10]", "ports:[4-5]", "ports:[1-10]", "ports:[1-3,6-10]"},
		{"ports:[1-3]", "ports:[3-4]", "ports:[1-4]", "no"},
		{"disks:{a,b}", "disks:{b}", "disks:{a,b}", "disks:{a}"},
		{"disks:{a}", "disks:{b}", "disks:{a,b}", "no"},
	} {
		a, b := parse(c.a), parse(c.b)
		require.Equal(t, c.sum, a.Add(b).String(), "%+v", c)
		rest, ok := a.Sub(b)
		require.Equal(t, c.rest != "no", ok, "%+v", c)
		require.Equal(t, ok, a.Contains(b), "%+v", c)
		if ok {
			require.Equal(t, c.rest, rest.String(), "%+v", c)
		} else {
			require.True(t, rest.Equal(a), "a refused Sub must return its receiver")
		}
		require.True(t, a.Equal(parse(c.a)), "receiver changed: %+v", c)
		require.True(t, b.Equal(parse(c.b)), "argument changed: %+v", c)
	}
}

func TestAddSaturatesInsteadOfTurningNegative(t *testing.T) {
	huge := resource.Resources{resource.NewScalar("mem", math.MaxInt64-1)}
	require.Equal(t, resource.Scalar(math.MaxInt64), huge.Add(huge).Scalar("mem"))
	require.Equal(t, resource.Scalar(math.MaxInt64), huge.Quantities().Add(huge.Quantities()).Get("mem"))
}

func TestVolumesAreTakenAsAWhole(t *testing.T) {
	v, smaller := made(volume("v1", 64)), made(volume("v1", 32))
	require.True(t, v.Contains(v))
	require.False(t, v.Contains(smaller))
	both := v.Add(made(volume("v2", 64)))
	rest, ok := both.Sub(v)
	require.True(t, ok)
	require.True(t, rest.Equal(made(volume("v2", 64))))
	twice := v.Add(v)
	require.Equal(t, 2, twice.Len(), "two copies of one volume never become a bigger one")
	require.ErrorContains(t, twice.Validate(resource.Limits{}), `"v1": must not be used twice in role ops`)
	back, ok := twice.Sub(v)
	require.True(t, ok)
	require.True(t, back.Equal(v))
}

func TestWhereAVolumeIsMountedIsNotItsIdentity(t *testing.T) {
	here, there := volume("v1", 64), volume("v1", 64)
	there.Volume = &resource.Volume{ID: "v1", ContainerPath: "elsewhere", ReadOnly: true}
	require.True(t, made(here).Equal(made(there)))
	require.True(t, made(here).Contains(made(there)))
	require.Equal(t, made(here).Key(), made(there).Key())
}

func TestSharedVolumesAreCounted(t *testing.T) {
	one := shared("v1", 0)
	require.True(t, one.Equal(shared("v1", 1)))
	three := one.Add(one).Add(one)
	require.Equal(t, 1, three.Len())
	require.Equal(t, 3, three[0].Count())
	require.Equal(t, resource.Units(64), three.Disk(), "a shared volume is on disk once")
	require.True(t, one.Contains(three), "present once is enough to be contained")
	_, ok := one.Sub(three)
	require.False(t, ok, "but not more counts come off than are held")
	two, ok := three.Sub(one)
	require.True(t, ok)
	require.True(t, two.Equal(shared("v1", 2)))
	none, ok := two.Sub(shared("v1", 2))
	require.True(t, ok)
	require.True(t, none.Empty())
	require.False(t, two.Equal(three))
	require.NotEqual(t, two.Key(), three.Key())
}

func TestSelection(t *testing.T) {
	spare := resource.NewScalar("cpus", 7000)
	spare.Revocable = true
	r := parse("cpus:1;cpus(a):2;cpus(a/b):3;cpus(c):4;mem:64;ports:[80]").Add(made(spare)).Add(shared("s", 0)).Add(made(volume("v", 8)))
	require.NoError(t, r.Validate(resource.Limits{}))
	require.Equal(t, "cpus:1;cpus{revocable}:7;mem:64;ports:[80-80]", r.Unreserved().String())
	require.Equal(t, "cpus(a):2", r.ReservedTo("a").String())
	require.Empty(t, r.ReservedTo("*"))
	require.Equal(t, "cpus:1;cpus(a):2;cpus(a/b):3;mem:64;ports:[80-80]", r.AvailableTo("a/b/x").NonRevocable().String())
	require.Equal(t, "cpus:1;cpus(a):2;mem:64;ports:[80-80]", r.AvailableTo("a").NonRevocable().String())
	require.Equal(t, "cpus{revocable}:7", r.Revocable().String())
	require.Equal(t, 1, r.Shared().Len())
	require.Equal(t, 2, r.Volumes().Len())
	require.Equal(t, r.Len()-1, r.NonShared().Len())
	require.Equal(t, resource.Units(17), r.CPUs())
	require.Equal(t, resource.Units(72), r.Disk())
	require.Equal(t, "[80-80]", r.Ports().String())
	require.True(t, r.Reserved().Add(r.Unreserved()).Equal(r))
	require.Equal(t, "cpus:17;disk:72;mem:64;ports:1", r.Quantities().String())
	require.Equal(t, "mem:64", r.Named("mem").String())
	require.Empty(t, r.Filter(func(resource.Resource) bool { return false }))
}

func TestContainsAny(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"cpus:1", "cpus:9", true}, {"cpus:1", "mem:1", false}, {"cpus:1", "cpus(a):1", false}, {"", "", false},
		{"ports:[1-5]", "ports:[5-6]", true}, {"ports:[1-5]", "ports:[6]", false}, {"d:{a,b}", "d:{b,c}", true}, {"d:{a}", "d:{c}", false},
		{"cpus:1;ports:[1]", "mem:1;ports:[1]", true},
	} {
		require.Equal(t, c.want, parse(c.a).ContainsAny(parse(c.b)), "%+v", c)
		require.Equal(t, c.want, parse(c.b).ContainsAny(parse(c.a)), "%+v", c)
	}
}

func TestFindTakesTheMostRefinedReservationFirst(t *testing.T) {
	have := parse("cpus:4;cpus(a):1;mem:100;ports:[1-10];ports(a):[20-30]").Add(made(volume("v", 64)))
	got, ok := have.Find(parse("cpus:2.5;mem:10;ports:[5,25]"))
	require.True(t, ok)
	require.Equal(t, "cpus:1.5;cpus(a):1;mem:10;ports:[5-5];ports(a):[25-25]", got.String())
	require.True(t, have.Contains(got))
	_, ok = have.Find(parse("cpus:5.001"))
	require.False(t, ok)
	_, ok = have.Find(parse("disk:1"))
	require.False(t, ok, "a volume is not spare disk")
	got, ok = have.Find(made(volume("v", 64)).Add(parse("cpus(a):1")))
	require.True(t, ok)
	require.Equal(t, 2, got.Len())
	_, ok = have.Find(parse("cpus(b):1"))
	require.False(t, ok)

	spare := resource.NewScalar("cpus", 2000)
	spare.Revocable = true
	mixed := parse("cpus:1").Add(made(spare))
	_, ok = mixed.Find(parse("cpus:2"))
	require.False(t, ok, "what may be taken back does not stand in for what may not")
	got, ok = mixed.Find(made(spare))
	require.True(t, ok)
	require.True(t, got.Equal(made(spare)))
}

func TestReserveAndUnreserve(t *testing.T) {
	r := parse("cpus:2;mem:64")
	a, err := r.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "a", Principal: "alice", Labels: []resource.Label{{Key: "z"}, {Key: "b"}}})
	require.NoError(t, err)
	require.Equal(t, "cpus{dynamic a by alice b= z=}:2;mem{dynamic a by alice b= z=}:64", a.String())
	ab, err := a.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "a/b"})
	require.NoError(t, err)
	require.Equal(t, "a/b", ab[0].Role())
	require.NoError(t, ab.Validate(resource.Limits{}))
	back, err := ab.Unreserve()
	require.NoError(t, err)
	require.True(t, back.Equal(a))
	back, err = back.Unreserve()
	require.NoError(t, err)
	require.True(t, back.Equal(r))
	require.True(t, ab.Unstacked().Equal(r))
	require.Equal(t, "cpus:2;mem:64", r.String())

	for want, call := range map[string]func() (resource.Resources, error){
		"must be below the role a": func() (resource.Resources, error) {
			return a.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "b"})
		},
		"only the first reservation":         func() (resource.Resources, error) { return a.Reserve(resource.Reservation{Role: "a/b"}) },
		"must be a role that can own":        func() (resource.Resources, error) { return r.Reserve(resource.Reservation{Role: "*"}) },
		"must not be empty":                  func() (resource.Resources, error) { return r.Reserve(resource.Reservation{}) },
		"persistent volume cannot":           func() (resource.Resources, error) { return shared("s", 0).Reserve(resource.Reservation{Role: "ops/x"}) },
		"is not reserved":                    r.Unreserve,
		"static reservation cannot":          parse("cpus(a):1").Unreserve,
		"must be destroyed before its reser": made(volume("v", 1)).Unreserve,
	} {
		_, err := call()
		require.ErrorContains(t, err, want)
	}
}

func TestUnreserveMergesWhatBecomesEqual(t *testing.T) {
	by := func(label string) resource.Reservation {
		return resource.Reservation{Type: resource.Dynamic, Role: "a", Labels: []resource.Label{{Key: label}}}
	}
	x, err := parse("cpus:1;ports:[1-2]").Reserve(by("x"))
	require.NoError(t, err)
	y, err := parse("cpus:2;ports:[3-4]").Reserve(by("y"))
	require.NoError(t, err)
	both := x.Add(y)
	require.Equal(t, 4, both.Len())
	plain, err := both.Unreserve()
	require.NoError(t, err)
	require.Equal(t, "cpus:3;ports:[1-4]", plain.String())
}

func TestReservingDoesNotWriteIntoASharedStack(t *testing.T) {
	base, err := parse("cpus:2").Reserve(resource.Reservation{Type: resource.Dynamic, Role: "a"})
	require.NoError(t, err)
	b, err := base.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "a/b"})
	require.NoError(t, err)
	c, err := base.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "a/c"})
	require.NoError(t, err)
	require.Equal(t, "a/b", b[0].Role())
	require.Equal(t, "a/c", c[0].Role())
	popped, err := b.Unreserve()
	require.NoError(t, err)
	_, err = popped.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "a/d"})
	require.NoError(t, err)
	require.Equal(t, "a/b", b[0].Role())
}

func TestQuantities(t *testing.T) {
	q, err := resource.ParseQuantities("cpus:4;mem:64;gpus:0")
	require.NoError(t, err)
	require.Equal(t, "cpus:4;mem:64", q.String())
	used, err := resource.ParseQuantities("cpus:1.5;disk:3;mem:64")
	require.NoError(t, err)
	require.Equal(t, "cpus:2.5", q.Sub(used).String())
	require.Equal(t, "cpus:5.5;disk:3;mem:128", q.Add(used).String())
	require.False(t, used.Fits(q))
	require.True(t, parse("cpus:4").Quantities().Fits(q))
	require.False(t, parse("cpus:4.001").Quantities().Fits(q))
	require.True(t, q.Fits(q.Add(used)))
	require.True(t, resource.Quantities(nil).Fits(nil))
	require.False(t, q.Fits(nil))
	require.Equal(t, "cpus:12;mem:192", q.Scale(3).String())
	require.Equal(t, resource.Scalar(math.MaxInt64), q.Scale(math.MaxInt64).Get("cpus"))
	require.Empty(t, q.Scale(0))
	require.True(t, q.Equal(q.Add(nil)))
	require.Zero(t, q.Get("ports"))
	for _, bad := range []string{"cpus(a):1", "ports:[1-2]", "d:{a}", "cpus:-1"} {
		_, err := resource.ParseQuantities(bad)
		require.Error(t, err, bad)
	}
}

func TestQuantitiesFromOutside(t *testing.T) {
	q, err := resource.NewQuantities(resource.Quantity{Name: "mem", Amount: 5}, resource.Quantity{Name: "cpus"}, resource.Quantity{Name: "mem", Amount: 1})
	require.NoError(t, err)
	require.Equal(t, resource.Quantities{{Name: "mem", Amount: 6}}, q)
	for want, bad := range map[string]resource.Quantities{
		"must be above 0":         {{Name: "cpus", Amount: -1}},
		"must not be empty":       {{Amount: 1}},
		"each name once":          {{Name: "cpus", Amount: 1}, {Name: "cpus", Amount: 1}},
		"must be sorted by name":  {{Name: "mem", Amount: 1}, {Name: "cpus", Amount: 1}},
		"1025 are more than the ": make(resource.Quantities, 1025),
	} {
		require.ErrorContains(t, bad.Validate(resource.Limits{}), want)
	}
	_, err = resource.NewQuantities(resource.Quantity{Name: "cpus", Amount: -1}, resource.Quantity{Name: "cpus", Amount: 2})
	require.ErrorContains(t, err, `cpus "-0.001": must be above 0`)
}

func TestEveryPartOfTheIdentityKeepsEntriesApart(t *testing.T) {
	base := func() resource.Resource {
		r := volume("v", 1)
		r.Reservations[0].Labels = []resource.Label{{Key: "k", Value: "v"}}
		return r
	}
	changes := map[string]func(*resource.Resource){
		"volume id":             func(r *resource.Resource) { r.Volume.ID = "w" },
		"volume principal":      func(r *resource.Resource) { r.Volume.Principal = "x" },
		"no volume":             func(r *resource.Resource) { r.Volume = nil },
		"size":                  func(r *resource.Resource) { r.Scalar++ },
		"reservation type":      func(r *resource.Resource) { r.Reservations[0].Type = resource.Static },
		"role":                  func(r *resource.Resource) { r.Reservations[0].Role = "dev" },
		"reservation principal": func(r *resource.Resource) { r.Reservations[0].Principal = "bob" },
		"label key":             func(r *resource.Resource) { r.Reservations[0].Labels[0].Key = "l" },
		"label value":           func(r *resource.Resource) { r.Reservations[0].Labels[0].Value = "w" },
		"no label":              func(r *resource.Resource) { r.Reservations[0].Labels = nil },
		"stack": func(r *resource.Resource) {
			r.Reservations = append(r.Reservations, resource.Reservation{Type: resource.Dynamic, Role: "ops/db"})
		},
		"shared": func(r *resource.Resource) { r.Shared = true },
	}
	seen := map[string]string{string(base().AppendIdentity(nil)): "base"}
	for what, change := range changes {
		other := base()
		change(&other)
		require.False(t, base().SameKind(other), what)
		require.False(t, made(base()).Contains(made(other)), what)
		require.Equal(t, 2, made(base()).Add(made(other)).Len(), what)
		identity := string(other.AppendIdentity(nil))
		require.NotContains(t, seen, identity, "%s looks like %s", what, seen[identity])
		seen[identity] = what
	}
	require.True(t, base().SameKind(base()))
}

func BenchmarkSub(b *testing.B) {
	offered, task := parse("cpus:4;disk:100;mem:8192;ports:[31000-32000];cpus(a):2"), parse("cpus:1;mem:64;ports:[31005-31006]")
	b.ReportAllocs()
	for b.Loop() {
		offered.Sub(task)
	}
}

func BenchmarkContains(b *testing.B) {
	offered, task := parse("cpus:4;disk:100;mem:8192;ports:[31000-32000];cpus(a):2"), parse("cpus:1;mem:64;ports:[31005-31006]")
	b.ReportAllocs()
	for b.Loop() {
		offered.Contains(task)
	}
}

func TestComparingAllocatesNothing(t *testing.T) {
	offered := parse("cpus:4;disk:100;mem:8192;ports:[31000-32000];cpus(a):2")
	task := parse("cpus:1;mem:64;ports:[31005-31006]")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !offered.Contains(task) || !offered.ContainsAny(task) || offered.Equal(task) || offered.CPUs() != 6000 {
			t.Fatal("wrong answer")
		}
	}))
	buf := make([]byte, 0, 256)
	index := map[string]int{offered.Key(): 7}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if index[string(offered.AppendKey(buf[:0]))] != 7 {
			t.Fatal("not found")
		}
	}))
}

func TestEqualPrefixesHaveDifferentKeys(t *testing.T) {
	keys := map[string]string{}
	for _, text := range []string{"", "a:1", "b:1", "a:1;b:1", "a:2", "a(x):1", "a(x/y):1", "a:[1]", "a:[1-2]", "a:[1,3]", "a:{b}", "a:{b,c}", "a:{bc}", "a:{a,bc}", "a:{ab,c}", "ab:{c}"} {
		key := parse(text).Key()
		require.NotContains(t, keys, key, text)
		keys[key] = text
	}
}

func TestValidateRefuses(t *testing.T) {
	scalar := func(name string, amount resource.Scalar) resource.Resource { return resource.NewScalar(name, amount) }
	with := func(r resource.Resource, change func(*resource.Resource)) resource.Resource { change(&r); return r }
	dynamic := func(roles ...string) (stack []resource.Reservation) {
		for _, role := range roles {
			stack = append(stack, resource.Reservation{Type: resource.Dynamic, Role: role})
		}
		return stack
	}
	type R = resource.Resource
	for want, r := range map[string]resource.Resources{
		`cpus "-1": must be above 0`:                           {scalar("cpus", -1000)},
		`cpus "0": must be above 0`:                            {scalar("cpus", 0)},
		`mem "9007199254740.992": must be above 0 and at most`: {scalar("mem", resource.MaxScalar+1)},
		`name "": must not be empty`:                           {scalar("", 1)},
		`name "a/b": must not hold`:                            {scalar("a/b", 1)},
		`name "a\x00": must not hold`:                          {scalar("a\x00", 1)},
		`must be at most 255 bytes`:                            {scalar(strings.Repeat("n", 256), 1)},
		`must be valid UTF-8`:                                  {scalar("\xff", 1)},
		`must be of type RANGES`:                               {scalar("ports", 1000)},
		`must be of type SCALAR`:                               {resource.NewItems("cpus", "a")},
		`gpus "0.5": must be a whole number`:                   {scalar("gpus", 500)},
		`ports "70000": must be at most 65535`:                 {resource.NewRanges("ports", resource.Range{Begin: 1, End: 70000})},
		`ports: must not be empty`:                             {resource.NewRanges("ports")},
		`must be sorted and must not overlap`:                  {resource.NewRanges("ports", resource.Range{Begin: 1, End: 3}, resource.Range{Begin: 3, End: 4})},
		`items must be sorted and distinct`:                    {resource.NewItems("d", "b", "a")},
		`an item must not be empty`:                            {resource.NewItems("d", "")},
		`must have no value but that of its type`:              {with(scalar("cpus", 1), func(r *R) { r.Set = resource.Set{"a"} })},
		`must be of type SCALAR, RANGES or SET`:                {{Name: "x", Type: 9}},
		`mem: entries must be sorted and merged`:               {scalar("mem", 1), scalar("mem", 1)},
		`cpus: entries must be sorted and merged`:              {scalar("mem", 1), scalar("cpus", 1)},
		`must not be both SCALAR and SET`:                      {scalar("x", 1), resource.NewItems("x", "a")},
		`ports "[5-5]": must not be in two entries`: {resource.NewRanges("ports", resource.Range{Begin: 1, End: 5}),
			with(resource.NewRanges("ports", resource.Range{Begin: 5, End: 6}), func(r *R) { r.Reservations = dynamic("a") })},
		`an item must not be in two entries`:     {resource.NewItems("d", "a"), with(resource.NewItems("d", "a"), func(r *R) { r.Revocable = true })},
		`role "a b": must not hold white space`:  {with(scalar("cpus", 1), func(r *R) { r.Reservations = dynamic("a b") })},
		`"b": must be below the role a`:          {with(scalar("cpus", 1), func(r *R) { r.Reservations = dynamic("a", "b") })},
		`"a": must be below the role a`:          {with(scalar("cpus", 1), func(r *R) { r.Reservations = dynamic("a", "a") })},
		`cannot be reserved dynamically`:         {with(scalar("cpus", 1), func(r *R) { r.Reservations, r.Revocable = dynamic("a"), true })},
		`must be STATIC or DYNAMIC`:              {with(scalar("cpus", 1), func(r *R) { r.Reservations = dynamic("a"); r.Reservations[0].Type = 7 })},
		`principal "a\n": must not hold control`: {with(scalar("cpus", 1), func(r *R) { r.Reservations = dynamic("a"); r.Reservations[0].Principal = "a\n" })},
		`a stack of 17 reservations is more`:     {with(scalar("cpus", 1), func(r *R) { r.Reservations = make([]resource.Reservation, 17) })},
		`65 labels are more`:                     {with(scalar("cpus", 1), func(r *R) { r.Reservations = dynamic("a"); r.Reservations[0].Labels = make([]resource.Label, 65) })},
		`labels: must be sorted`: {with(scalar("cpus", 1), func(r *R) {
			r.Reservations = dynamic("a")
			r.Reservations[0].Labels = []resource.Label{{Key: "b"}, {Key: "a"}}
		})},
		`only disk can hold`:                        {with(volume("v", 1), func(r *R) { r.Name = "mem" })},
		`must be on reserved disk`:                  {with(volume("v", 1), func(r *R) { r.Reservations = nil })},
		`volume.id "": must not be empty`:           {volume("", 1)},
		`volume.id "..": must not be`:               {volume("..", 1)},
		`volume.id "a/b": must not hold`:            {volume("a/b", 1)},
		`container_path: must not be empty`:         {with(volume("v", 1), func(r *R) { r.Volume = &resource.Volume{ID: "v"} })},
		`"../x": must not have the component ..`:    {with(volume("v", 1), func(r *R) { r.Volume = &resource.Volume{ID: "v", ContainerPath: "../x"} })},
		`a persistent volume must not be revocable`: {with(volume("v", 1), func(r *R) { r.Reservations[0].Type, r.Revocable = resource.Static, true })},
		`only a persistent volume can be shared`:    {with(scalar("cpus", 1), func(r *R) { r.Shared = true })},
		`shared_count "2": must be 0`:               {with(volume("v", 1), func(r *R) { r.SharedCount = 2 })},
		`shared_count "-1": must be 0`:              {with(volume("v", 1), func(r *R) { r.Shared, r.SharedCount = true, -1 })},
		`volume.id "v": must not be used twice`:     {volume("v", 1), volume("v", 2)},
		`1025 are more than the allowed 1024`:       make(resource.Resources, 1025),
	} {
		err := r.Validate(resource.Limits{})
		require.ErrorContains(t, err, want)
		var e *resource.Error
		require.ErrorAs(t, err, &e)
	}
	require.ErrorContains(t, parse("cpus:1;mem:1").Validate(resource.Limits{Entries: 1}), "2 are more than the allowed 1")
	require.ErrorContains(t, parse("a:[1,3];b:{x}").Validate(resource.Limits{Values: 2}), "3 ranges and items are more")
	require.ErrorContains(t, shared("a", 2).Add(shared("b", 3)).Validate(resource.Limits{SharedCount: 2}), "must be 0, or 2 to 2")
	require.ErrorContains(t, shared("a", 2).Add(shared("b", 2)).Validate(resource.Limits{SharedCount: 1}), "must be 0")
	require.ErrorContains(t, shared("a", 3).Add(shared("b", 3)).Validate(resource.Limits{SharedCount: 3}), "4 counts of shared volumes")
}

func TestNewRefusesWhatIsNamedTwice(t *testing.T) {
	for want, items := range map[string][]resource.Resource{
		"ranges must not overlap":            {resource.NewRanges("ports", resource.Range{Begin: 1, End: 5}, resource.Range{Begin: 5, End: 6})},
		`"[5-5]": ranges must not overlap`:   {resource.NewRanges("ports", resource.Range{Begin: 1, End: 5}), resource.NewRanges("ports", resource.Range{Begin: 5, End: 6})},
		"must not end before it begins":      {resource.NewRanges("ports", resource.Range{Begin: 5, End: 1})},
		"an item must not be named twice":    {resource.NewItems("d", "a"), resource.NewItems("d", "a")},
		`"{a,a}": an item must not be named`: {resource.NewItems("d", "a", "a")},
		`"v": must not be used twice`:        {volume("v", 1), volume("v", 1)},
		"must not be negative":               {resource.NewScalar("cpus", -1), resource.NewScalar("cpus", 2)},
	} {
		_, err := resource.New(items...)
		require.ErrorContains(t, err, want)
	}
}

func TestTimesIsAddingUp(t *testing.T) {
	for _, text := range []string{"", "cpus:0.5", "cpus:0.5;mem:32;disk(role):7.001", "cpus:2;gpus:1"} {
		r := resource.Must(text)
		var sum resource.Resources
		for n := int64(1); n <= 5; n++ {
			sum = sum.Add(r)
			all, ok := r.Times(n)
			require.True(t, ok, text)
			require.True(t, sum.Equal(all), "%d times %s is %s", n, text, all)
		}
		require.True(t, r.Equal(resource.Must(text)), "what is multiplied stays as it is")
	}
	_, ok := resource.Must("cpus:1").Times(0)
	require.False(t, ok)
	_, ok = resource.Must("cpus:1;ports:[1-2]").Times(2)
	require.False(t, ok, "the same ports twice are not more ports")
	_, ok = resource.Must("cpus:1000000").Times(1 << 40)
	require.False(t, ok, "it does not fit")
}
