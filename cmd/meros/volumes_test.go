package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func TestRunTakesVolumesAndANetwork(t *testing.T) {
	dir := folder(t)
	key, nothing := filepath.Join(dir, "a=key"), filepath.Join(dir, "nothing")
	require.NoError(t, os.WriteFile(key, []byte("hunter2"), 0o600))
	require.NoError(t, os.WriteFile(nothing, nil, 0o600))
	f := &runFlags{cpus: "1", mem: "64", disk: "0", output: 10, network: "none", hostname: "web-1",
		volumes: []string{"host:/srv/data=/data,ro", "sandbox:cache=/var/cache", "secret:" + key + "=etc/key"}}
	task, err := f.task([]string{"true"})
	require.NoError(t, err)
	require.Equal(t, offer.NetworkNone, task.Network)
	require.Equal(t, "web-1", task.Hostname)
	require.Equal(t, []offer.Volume{{ContainerPath: "/data", HostPath: "/srv/data", ReadOnly: true}, {ContainerPath: "/var/cache", SandboxPath: "cache"},
		{ContainerPath: "etc/key", Secret: offer.Secret("hunter2")}}, task.Volumes)
	for want, args := range map[string][]string{
		`--volume "/a:/b": must be KIND:WHAT=PATH`:                                             {"--volume", "/a:/b"},
		`--volume "disk:/a=/b": must begin with host:, sandbox: or secret:`:                    {"--volume", "disk:/a=/b"},
		`--volume "host:a=/b": hostPath "a": is relative (allowed: an absolute path)`:          {"--volume", "host:a=/b"},
		`--volume "host:/a=/../b": containerPath "/../b": is not plain`:                        {"--volume", "host:/a=/../b"},
		`--volume "sandbox:../a=/b": sandboxPath "../a": is not a path inside the sandbox`:     {"--volume", "sandbox:../a=/b"},
		`--volume "host:/a=/b/c": containerPath "/b/c": is, holds or lies in that of volumes[`: {"--volume", "host:/a=/b", "--volume", "host:/a=/b/c"},
		`no such file or directory`:                       {"--volume", "secret:" + dir + "/none=/b"},
		`is empty (allowed: a file with something in it)`: {"--volume", "secret:" + nothing + "=/b"},
		`--network "bridge": must be host or none`:        {"--network", "bridge"},
		`--hostname "web_1": must be labels of 1 to 63`:   {"--hostname", "web_1"},
	} {
		_, errs, code := meros(t, append(append([]string{"run", "--master", "127.0.0.1:1"}, args...), "--", "true")...)
		require.Equal(t, 2, code, errs)
		require.Contains(t, errs, want)
	}
	_, errs, code := meros(t, "dev", "--host-volumes", dir+"/none")
	require.Equal(t, 2, code, errs)
	require.Contains(t, errs, `none": must be a folder that exists`)
}

func TestACommandSeesItsVolumesAndNoNetwork(t *testing.T) {
	isolationtest.NeedsRoot(t)
	dir, addresses := folder(t), ports(t, 2)
	require.NoError(t, os.Chmod(dir, 0o755))
	shown, key := filepath.Join(dir, "shown"), filepath.Join(dir, "key")
	require.NoError(t, os.Mkdir(shown, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(shown, "file"), []byte("shown\n"), 0o644))
	require.NoError(t, os.WriteFile(key, []byte("hunter2\n"), 0o600))
	dev := startNode(t, dir, "dev", "dev", "--listen", addresses[0], "--slave-listen", addresses[1], "--resources", "cpus:1;mem:64",
		"--host-volumes", shown, "--work-dir", dir+"/work")
	run := func(args ...string) (string, string, int) {
		return meros(t, append([]string{"run", "--master", addresses[0], "--cpus", "0.5", "--mem", "32"}, args...)...)
	}
	out, errs, code := run("--volume", "host:"+shown+"=in,ro", "--volume", "secret:"+key+"=key", "--network", "none", "--hostname", "web-1", "--",
		"sh", "-c", "cat in/file key; ls /sys/class/net; hostname; exit 3")
	require.Equal(t, 3, code, errs)
	require.Equal(t, "shown\nhunter2\nlo\nweb-1\n", out)
	_, errs, code = run("--volume", "host:/etc=in", "--", "true")
	require.NotZero(t, code)
	require.Contains(t, errs, `volumes[0].hostPath "/etc": may not be seen by tasks of this slave (allowed: what is in `+shown+`)`)
	require.NotContains(t, dev.said(), "hunter2")
	dev.signal(syscall.SIGTERM)
	require.Zero(t, dev.exit())
}
