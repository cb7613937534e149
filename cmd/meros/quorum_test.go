package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two of three masters are lost with their disks. The third goes on, and so does a command; nothing is done while another answers.
func TestASurvivingMasterGoesOnAfterALostQuorum(t *testing.T) {
	c := startCluster(t, 3, 1)
	release := c.steady()
	about := c.save(filepath.Join(c.dir, "before"))
	var addresses []string
	for a := range c.masters {
		addresses = append(addresses, a)
	}
	survivor, second, third := c.masters[addresses[0]], c.masters[addresses[1]], c.masters[addresses[2]]
	third.kill()
	survivor.kill()
	recover := []string{"recover-quorum", "--work-dir", filepath.Join(c.dir, survivor.name)}

	out, errs, code := meros(t, recover...)
	require.Equal(t, 1, code, errs)
	require.Empty(t, out)
	require.Equal(t, 1, strings.Count(errs, "\n"), errs)
	require.Contains(t, errs, "nothing was changed")
	require.Contains(t, errs, addresses[1])
	require.Contains(t, errs, "its log ends at term")
	survivor.start() // it has not been changed: the two elect a leader
	eventually(t, "they lead", func() bool { return c.leader() != "" })
	survivor.kill()
	second.kill()

	out, errs, code = meros(t, recover...)
	require.Zero(t, code, errs)
	require.Contains(t, out, addresses[0]+" is a cluster of its own")
	require.Contains(t, out, addresses[1])
	require.Contains(t, out, addresses[2])
	survivor.start()
	eventually(t, "it leads, and the command is known", func() bool { return c.leader() == addresses[0] && c.running("steady") == 1 })
	require.Len(t, c.voters(), 1)

	// One that was not quite lost is not let in again as it was.
	second.start()
	require.Equal(t, 1, second.exit())
	require.Contains(t, lastLine(second.said()), "was recovered without this master")
	c.join("again", addresses[1])
	require.Len(t, c.voters(), 2)
	after := c.save(filepath.Join(c.dir, "after"))
	require.Equal(t, about.ClusterID, after.ClusterID)
	require.Greater(t, after.Reign, about.Reign)
	release()

	_, errs, code = meros(t, "recover-quorum", "--work-dir", filepath.Join(c.dir, "nothing"))
	require.Equal(t, 1, code)
	require.Contains(t, errs, "is no master's folder")
	require.NoDirExists(t, filepath.Join(c.dir, "nothing"))
	_, errs, code = meros(t, "recover-quorum")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--work-dir")
}
