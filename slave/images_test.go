package slave

import (
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/image"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

// ofImage is a task with an image.
func ofImage(id offer.TaskID, ref string, command offer.Command) offer.Task {
	return offer.Task{ID: id, SlaveID: "s-1", Command: &command, Image: &offer.Image{Reference: ref}}
}

func needsImages(t *testing.T) {
	isolationtest.NeedsRoot(t)
	if runtime.GOOS != "linux" {
		t.Skipf("needs root folders of containers, which %s does not have", runtime.GOOS)
	}
}

// A slave that cannot make an image the root says so once when it starts, and refuses tasks that have one.
func TestImagesAreRefusedWhereTheyCannotBeHad(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process"}})
	take(t, "a registration", m.register)
	m.send(launch(ofImage("t-1", "registry.example.org/x", offer.Command{Value: "true", Shell: true})))
	st := m.state("t-1", offer.Failed)
	require.Equal(t, offer.ReasonUnsupported, st.Reason)
	require.Equal(t, "the container asks for an image, which no isolator of this slave enforces", st.Message)
	require.NoDirExists(t, filepath.Join(dir, "images"))
}

func TestAnImageIsNoUseWithoutWhatMakesItTheRoot(t *testing.T) {
	needsImages(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolators: []string{"process", "image"}})
	take(t, "a registration", m.register)
	m.send(launch(ofImage("t-1", "registry.example.org/x", offer.Command{Value: "true", Shell: true})))
	st := m.state("t-1", offer.Failed)
	require.Equal(t, offer.ReasonUnsupported, st.Reason)
	require.Contains(t, st.Message, "a root folder of its own")
}

func TestTheConfigurationOfImagesIsChecked(t *testing.T) {
	_, err := New(Config{WorkDir: "work", Masters: []string{"a:1"}, Image: image.Config{AtOnce: -1}})
	require.EqualError(t, err, "slave: config: image: config: AtOnce is -1 (allowed: more than zero)")
	_, err = New(Config{WorkDir: "work", Masters: []string{"a:1"}, Image: image.Config{Store: image.StoreConfig{Dir: "relative"}}})
	require.ErrorContains(t, err, `slave: config: image: config: Dir is "relative"`)
}
