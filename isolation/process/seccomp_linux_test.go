//go:build linux && (amd64 || arm64)

package process

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
)

// answerTo runs the filter's program on one call.
func answerTo(t *testing.T, f isolation.Seccomp, arch, number uint32, args ...uint32) uint32 {
	vm, err := bpf.NewVM(compile(f))
	require.NoError(t, err)
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[atNumber:], number)
	binary.BigEndian.PutUint32(data[atArchitecture:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[atArguments+8*i:], a)
	}
	n, err := vm.Run(data)
	require.NoError(t, err)
	return uint32(n)
}

func TestOnlyTheMachinesOwnCallsAreUnderstood(t *testing.T) {
	none := isolation.Seccomp{}
	require.Equal(t, uint32(unix.SECCOMP_RET_ALLOW), answerTo(t, none, architecture, unix.SYS_READ))
	for _, arch := range []uint32{0, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, architecture ^ 1<<30} {
		require.Equal(t, uint32(unix.SECCOMP_RET_KILL_PROCESS), answerTo(t, none, arch, unix.SYS_READ), "%x", arch)
	}
	if foreignFrom > 0 {
		for _, n := range []uint32{foreignFrom, foreignFrom + unix.SYS_READ, foreignFrom + unix.SYS_MOUNT, 1 << 31, ^uint32(0)} {
			require.Equal(t, uint32(unix.SECCOMP_RET_ERRNO|unix.EPERM), answerTo(t, none, architecture, n), "%x", n)
		}
	}
}

func TestEachCallIsDeniedUnlessItIsNamed(t *testing.T) {
	const eperm = uint32(unix.SECCOMP_RET_ERRNO | unix.EPERM)
	names := DeniedCalls()
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(names))), len(names), "each once")
	for _, r := range allRules() {
		args := map[string][]uint32{"unshare": {unix.CLONE_NEWUSER}, "clone": {unix.CLONE_NEWNS | uint32(unix.SIGCHLD)}, "personality": {0x40000},
			"socket": {unix.AF_PACKET, unix.SOCK_RAW}, "ioctl": {0, unix.TIOCSTI}}[r.name]
		want := eperm
		if r.name == "clone3" {
			want = uint32(unix.SECCOMP_RET_ERRNO | unix.ENOSYS)
		}
		require.Equal(t, want, answerTo(t, isolation.Seccomp{}, architecture, r.number, args...), r.name)
		require.Equal(t, uint32(unix.SECCOMP_RET_ALLOW), answerTo(t, isolation.Seccomp{Allow: []string{r.name}}, architecture, r.number, args...), r.name)
	}
	require.Equal(t, uint32(unix.SECCOMP_RET_ALLOW), answerTo(t, isolation.Seccomp{}, architecture, unix.SYS_CLONE, uint32(unix.SIGCHLD)|unix.CLONE_VM))
	require.Equal(t, eperm, answerTo(t, isolation.Seccomp{}, architecture, unix.SYS_UNSHARE, unix.CLONE_NEWTIME))
	require.Equal(t, uint32(unix.SECCOMP_RET_ALLOW), answerTo(t, isolation.Seccomp{}, architecture, unix.SYS_IOCTL, 1, unix.TCGETS))
}

func TestACapabilityBringsItsCalls(t *testing.T) {
	require.Equal(t, []string{"bpf"}, callsOf([]string{"bpf"}))
	require.Empty(t, callsOf([]string{"net_bind_service"}))
	require.Contains(t, callsOf([]string{"sys_admin"}), "mount")
	require.Empty(t, callsOf(nil))
}
