package slave

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func TestWhatIsSecretInATaskIsOnDiskOnlyWhereNoOtherUserCanReadIt(t *testing.T) {
	isolationtest.NeedsRoot(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	task := command("t-1", `test "$(cat key) $PASSWORD" = "hunter-2 hunter-2" && exec sleep 1000`)
	task.Command.Environment = []offer.Variable{{Name: "PASSWORD", Value: "hunter-2"}}
	task.Volumes = []offer.Volume{{ContainerPath: "key", Secret: offer.Secret("hunter-2")}}
	m.send(launch(task))
	m.state("t-1", offer.Running)
	var found []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(content, []byte("hunter-2")) && !bytes.Contains(content, []byte("aHVudGVyLTI")) { // or in base 64, as JSON has it
			return err
		}
		found = append(found, path)
		st, err := e.Info()
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), st.Mode().Perm(), path)
		folder, err := os.Stat(filepath.Dir(path))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o700), folder.Mode().Perm(), path)
		return nil
	}))
	require.Contains(t, found, filepath.Join(dir, "meta/journal"))
	for _, path := range found {
		require.Regexp(t, "^(meta/journal|run/[^/]+/[^/]+)$", strings.TrimPrefix(path, dir+"/"), "the slave's, or the supervisor's")
	}
	m.send(&message.Kill{Framework: "f-1", Task: "t-1"})
	m.state("t-1", offer.Killing)
	m.state("t-1", offer.Killed)
	s.stop()
}
