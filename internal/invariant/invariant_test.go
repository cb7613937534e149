package invariant_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/invariant"
)

func TestViolationNamesItsRule(t *testing.T) {
	err := fmt.Errorf("step 7: %w", invariant.Violated("R1", "slave %s has %d too many", "s-1", 3))
	require.EqualError(t, err, "step 7: invariant R1: slave s-1 has 3 too many")
	require.Equal(t, "R1", invariant.Rule(err))
	require.Empty(t, invariant.Rule(errors.New("else")))
}
