package offer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
)

func TestVolumesOfStrangersAreChecked(t *testing.T) {
	fine := []offer.Volume{
		{ContainerPath: "/data", HostPath: "/srv/data"}, {ContainerPath: "cache", HostPath: "/", ReadOnly: true},
		{ContainerPath: "/etc/app/key", Secret: offer.Secret("x")}, {ContainerPath: "/etc/app/cert", SandboxPath: "made/cert"},
		{ContainerPath: "/process", SandboxPath: "a:b"},
	}
	require.NoError(t, offer.ValidateContainer(nil, offer.NetworkNone, fine))
	for _, c := range []struct {
		v    offer.Volume
		want string
	}{
		{offer.Volume{HostPath: "/srv"}, `volumes[0].containerPath "": is empty`},
		{offer.Volume{ContainerPath: "/"}, `volumes[0].containerPath "/": is / or lies in it`},
		{offer.Volume{ContainerPath: "/a/../b"}, "is not plain"},
		{offer.Volume{ContainerPath: "a/."}, "is not plain"},
		{offer.Volume{ContainerPath: "../b"}, "is not plain"},
		{offer.Volume{ContainerPath: "/a/"}, "is not plain"},
		{offer.Volume{ContainerPath: "/a\x00b"}, "contains a control character"},
		{offer.Volume{ContainerPath: strings.Repeat("/a", 3000)}, "allowed: at most 4096"},
		{offer.Volume{ContainerPath: "/proc/sys", HostPath: "/srv"}, "is /proc or lies in it"},
		{offer.Volume{ContainerPath: "/dev", HostPath: "/srv"}, "is /dev or lies in it"},
		{offer.Volume{ContainerPath: "stdout", Secret: offer.Secret("x")}, "is stdout or lies in it"},
		{offer.Volume{ContainerPath: "a"}, "volumes[0].hostPath: 0 of hostPath, sandboxPath and secret are set (allowed: exactly one)"},
		{offer.Volume{ContainerPath: "a", HostPath: "/b", SandboxPath: "c"}, "2 of hostPath"},
		{offer.Volume{ContainerPath: "a", HostPath: "b"}, `volumes[0].hostPath "b": is relative`},
		{offer.Volume{ContainerPath: "a", HostPath: "/b/../c"}, `volumes[0].hostPath "/b/../c": is not plain`},
		{offer.Volume{ContainerPath: "a", SandboxPath: "/b"}, `volumes[0].sandboxPath "/b": is not a path inside the sandbox`},
		{offer.Volume{ContainerPath: "a/b", SandboxPath: "a"}, `volumes[0].sandboxPath "a": is, holds or lies in containerPath "a/b"`},
		{offer.Volume{ContainerPath: "a", Secret: make(offer.Secret, offer.MaxSecret+1)}, "volumes[0].secret: has 65537 bytes"},
	} {
		require.ErrorContains(t, offer.ValidateContainer(nil, 0, []offer.Volume{c.v}), c.want)
	}
	twice := []offer.Volume{{ContainerPath: "/a/b", HostPath: "/b"}, {ContainerPath: "/a", SandboxPath: "c"}}
	require.ErrorContains(t, offer.ValidateContainer(nil, 0, twice), `volumes[1].containerPath "/a": is, holds or lies in that of volumes[0]`)
	require.ErrorContains(t, offer.ValidateContainer(nil, 0, make([]offer.Volume, offer.MaxVolumes+1)), "65 of them (allowed: at most 64)")
	require.ErrorContains(t, offer.ValidateContainer(nil, 7, nil), "network: 7 (allowed: HOST, NONE)")
	require.ErrorContains(t, offer.ValidateContainer(&offer.Image{}, 0, nil), "image.reference: is empty")
}

func ExampleSecret() {
	v := offer.Volume{ContainerPath: "/etc/app/key", Secret: offer.Secret("hunter2")}
	fmt.Println(v)
	fmt.Printf("%+v %#v %s %q %x\n", v.Secret, v.Secret, v.Secret, v.Secret, v.Secret)
	// Output:
	// {/etc/app/key false   (7 bytes)}
	// (7 bytes) (7 bytes) (7 bytes) (7 bytes) (7 bytes)
}
