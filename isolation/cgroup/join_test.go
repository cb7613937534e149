package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// joins is a kernel that remembers what is written.
type joins struct {
	realKernel
	written map[string]string
}

func (j joins) write(path, value string) error {
	j.written[path] = value
	return nil
}

func TestAProcessIsMovedWhereAnotherOneIs(t *testing.T) {
	for name, c := range map[string]struct {
		mounts, like, own string
		want              map[string]string
		fails             string
	}{
		"each hierarchy of version 1 in which they are apart": {
			mounts: "30 24 0:26 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n31 24 0:27 / /cg/mem rw - cgroup cgroup rw,memory\n" +
				"32 24 0:28 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n33 24 0:29 / /cg/unified rw - cgroup2 cgroup2 rw\n",
			like: "4:name=systemd:/same\n3:cpu,cpuacct:/m/s.c\n2:memory:/m/s.c\n0::/m/s.c\n",
			own:  "4:name=systemd:/same\n3:cpu,cpuacct:/\n2:memory:/\n0::/\n",
			want: map[string]string{"/cg/cpu/m/s.c/cgroup.procs": "7", "/cg/mem/m/s.c/cgroup.procs": "7", "/cg/unified/m/s.c/cgroup.procs": "7"},
		},
		"a mount that shows a part of the hierarchy": {
			mounts: "33 24 0:29 /machine/x /cg rw - cgroup2 cgroup2 rw\n", like: "0::/machine/x/m/s.c\n", own: "0::/machine/x\n",
			want: map[string]string{"/cg/m/s.c/cgroup.procs": "7"},
		},
		"nothing, where they are together": {mounts: "", like: "0::/a\n", own: "0::/a\n", want: map[string]string{}},
		"nowhere, where that cannot be seen": {
			mounts: "33 24 0:29 /machine/x /cg rw - cgroup2 cgroup2 rw\n", like: "0::/machine/xy/s.c\n", own: "0::/machine/x\n", fails: "is not mounted",
		},
		"nowhere, where it is mounted read-only": {
			mounts: "33 24 0:29 / /cg ro - cgroup2 cgroup2 ro\n", like: "0::/m/s.c\n", own: "0::/\n", fails: "is not mounted",
		},
	} {
		proc := t.TempDir()
		for file, text := range map[string]string{"self/mountinfo": c.mounts, "self/cgroup": c.own, "7/cgroup": c.own, "8/cgroup": c.like} {
			path := filepath.Join(proc, file)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
		k := joins{written: map[string]string{}}
		err := join(k, proc, 7, 8)
		if c.fails != "" {
			require.ErrorContains(t, err, c.fails, name)
			require.Empty(t, k.written, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, k.written, name)
	}
	require.NoError(t, join(joins{}, filepath.Join(t.TempDir(), "none"), 7, 8), "a system without")
}
