package message

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestKindsKeepTheirNumbers(t *testing.T) {
	for kind, number := range map[Kind]int{KindWatch: 1, KindOperated: 4, KindSlaveRegister: 32, KindFromExecutor: 39, KindRenew: 40, KindSlaveRegistered: 64, KindDrain: 75,
		KindResend: 76, KindRenewed: 77, KindSubscribe: 96, KindUpdateFramework: 109, KindSubscribed: 128, KindHeartbeat: 134, KindExecutorSubscribe: 160, KindExecutorStop: 167} {
		require.EqualValues(t, number, kind)
	}
}

func TestEstimatesGrowWithWhatIsLong(t *testing.T) {
	small := offer.Task{ID: "t"}
	long := strings.Repeat("x", 10_000)
	for name, task := range map[string]offer.Task{
		"data":      {ID: "t", Data: []byte(long)},
		"command":   {ID: "t", Command: &offer.Command{Arguments: []string{long}}},
		"variable":  {ID: "t", Command: &offer.Command{Environment: []offer.Variable{{Name: "N", Value: long}}}},
		"label":     {ID: "t", Labels: []resource.Label{{Key: "k", Value: long}}},
		"executor":  {ID: "t", Executor: &offer.Executor{Data: []byte(long)}},
		"set":       {ID: "t", Resources: resource.Resources{{Name: "s", Type: resource.SetType, Set: resource.Set{long}}}},
		"principal": {ID: "t", Resources: resource.Resources{{Name: "cpus", Reservations: []resource.Reservation{{Principal: long}}}}},
	} {
		require.GreaterOrEqual(t, SizeOfTask(&task), SizeOfTask(&small)+len(long), name)
	}
	require.Greater(t, SizeOfStatus(&offer.Status{Message: long}), len(long))
	require.Greater(t, SizeOfSlave(&offer.Slave{Attributes: []offer.Attribute{{Name: "a", Text: long}}}), len(long))
}
