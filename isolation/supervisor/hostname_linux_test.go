package supervisor

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/namespace"
	"github.com/meros-project/meros/offer"
)

func TestAContainerHasTheHostNameThatItsTaskNames(t *testing.T) {
	b := newApart(t, namespace.Config{})
	host, err := os.Hostname()
	require.NoError(t, err)
	s := b.spec("a", "hostname; cat /proc/sys/kernel/hostname")
	s.Hostname = "web-1.example.org"
	require.Equal(t, "web-1.example.org\nweb-1.example.org\n", b.run(s))
	require.Equal(t, host+"\n", b.run(b.spec("b", "hostname")))
	now, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, host, now, "the machine keeps its own")
}

func TestARootFolderOfItsOwnSaysTheHostName(t *testing.T) {
	isolationtest.NeedsRoot(t)
	machines, err := os.ReadFile("/etc/hosts")
	require.NoError(t, err)
	for id, network := range map[string]offer.Network{"a": offer.NetworkHost, "b": offer.NetworkNone} {
		root := makeRoot(t, "sh", "cat", "stat")
		require.NoError(t, os.MkdirAll(filepath.Join(root, "etc"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, "etc", "hostname"), []byte("of the image\n"), 0o644))
		b := rooted(t, root)
		s := b.rootedSpec(id, "cat /proc/sys/kernel/hostname /etc/hostname /etc/hosts; stat -c '%a %u' /etc/hostname; (echo x > /etc/hosts) 2>/dev/null || echo denied")
		s.Hostname, s.Network = "web-1.example.org", network
		require.Equal(t, "web-1.example.org\nweb-1.example.org\n127.0.1.1\tweb-1.example.org web-1\n"+string(machines)+"444 0\ndenied\n", b.run(s))
		image, err := os.ReadFile(filepath.Join(root, "etc", "hostname"))
		require.NoError(t, err)
		require.Equal(t, "of the image\n", string(image), "which is left as it is")
	}
}
