package slave

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hostile is what a stranger's command, or what it asks for, may try, and where it is shown what comes of that.
var hostile = map[string][]string{
	"writing its own cgroup limits":              {"isolation/cgroup/real_test.go TestATaskCannotChangeItsLimitsNorLeaveItsCgroup"},
	"leaving its cgroup":                         {"isolation/cgroup/real_test.go TestATaskCannotChangeItsLimitsNorLeaveItsCgroup"},
	"ignoring TERM":                              {"isolation/cgroup/real_test.go TestATreeThatIgnoresTERMAndHasLeftItsSessionIsKilled", "isolation/supervisor/supervisor_test.go TestAPoliteKillIsSIGTERMAndASureOneReachesEverything"},
	"forking twice, to be nobody's child":        {"slave/leftovers_linux_test.go TestNothingIsLeftOfTasksHoweverTheyEnd", "isolation/supervisor/supervisor_test.go TestWhatATaskLeavesBehindEndsWithIt"},
	"forking a million times":                    {"isolation/cgroup/real_test.go TestAForkBombIsHeldAndKilled", "isolation/cgroup/real_test.go TestAForkBombIsKilledWhereNothingCanBeFrozen", "isolation/supervisor/supervisor_test.go TestAForkBombIsEnded", "slave/isolators_test.go TestHostileTasksAreKilledToTheLastProcess"},
	"eating memory":                              {"slave/isolators_test.go TestATaskThatUsesTooMuchMemoryFailsWithTheNumbers"},
	"filling the disk":                           {"slave/held_test.go TestATaskThatFillsTheDiskFailsWithTheNumbers"},
	"printing for ever without a newline":        {"isolation/supervisor/attach_linux_test.go TestATaskThatPrintsForEverIsBounded"},
	"replacing stdout by a link or a fifo":       {"slave/hostile_task_test.go TestOutputGoesToAFileOfTheSandboxOnly", "isolation/supervisor/attach_linux_test.go TestATaskThatReplacesItsOutputHarmsNobody"},
	"links in the sandbox to files outside":      {"slave/slave_test.go TestWhatATaskLinksToOrPipesIsNotServed", "isolation/disk/disk_test.go TestEmptyFollowsNoLinkAndRemovesWhatIsClosed"},
	"a sandbox path with colons and newlines":    {"slave/hostile_task_test.go TestAFolderWithAnyNameWillDo"},
	"an unknown user":                            {"slave/hostile_task_test.go TestATaskThatCannotBeStartedSaysWhy"},
	"a NUL in the command":                       {"slave/hostile_task_test.go TestATaskThatCannotBeStartedSaysWhy", "isolation/process/process_test.go TestTextThatTheSystemWouldMisunderstandIsRefused"},
	"3 MiB of arguments":                         {"slave/hostile_task_test.go TestATaskThatCannotBeStartedSaysWhy"},
	"environment names with =":                   {"slave/hostile_task_test.go TestATaskThatCannotBeStartedSaysWhy"},
	"a working directory outside":                {"isolation/process/process_test.go TestASandboxThatLeadsElsewhereIsRefused", "slave/hostile_test.go TestNothingAMasterSendsLeavesTheFolder"},
	"archives with .., absolute names, links":    {"isolation/unpack/unpack_test.go TestHostileArchivesAreRefused", "isolation/unpack/unpack_test.go TestHostileZipArchivesAreRefused"},
	"archives with devices and setuid bits":      {"isolation/unpack/unpack_test.go TestHostileArchivesAreRefused", "isolation/unpack/unpack_test.go TestSetuidBitsAndClosedFoldersAreTamed"},
	"archives that are bombs":                    {"isolation/unpack/unpack_test.go TestBombsAreStopped"},
	"URLs that lead to loopback or metadata":     {"isolation/fetch/fetch_test.go TestAddresses", "isolation/fetch/fetch_test.go TestWhatCannotBeFetchedIsSaidInWords", "isolation/fetch/fetch_test.go TestARedirectToPlainTextIsRefused"},
	"writing over the supervisor's executable":   {"isolation/supervisor/harden_linux_test.go TestNobodyCanWriteToWhatASupervisorRunsFrom"},
	"speaking to its supervisor":                 {"isolation/supervisor/harden_linux_test.go TestATaskCannotSpeakToItsSupervisor"},
	"mount, ptrace, bpf, raw sockets":            {"isolation/supervisor/harden_linux_test.go TestCallsThatNoOrdinaryProgramNeedsAreDenied", "isolation/supervisor/harden_linux_test.go TestTheFilterDeniesAndNotTheSystem"},
	"damage to what is known of its run":         {"isolation/supervisor/record_test.go TestNoDamageToARunsFileChangesWhatItSays", "slave/damage_test.go TestAJournalWithAnyBitFlippedIsRefusedOrCutAndSaidSo"},
	"killing its supervisor":                     {"isolation/supervisor/supervisor_test.go TestAKilledSupervisorIsNoticedAndItsTaskIsEnded", "isolation/supervisor/ready_test.go TestASupervisorThatDiesBeforeItBeginsIsReplaced"},
	"a slave that is killed at any moment":       {"slave/child_test.go TestASlaveThatIsKilledAtAnyMomentStartsNothingTwice", "isolation/supervisor/ready_test.go TestAnOrderThatWasGivenRightBeforeTheSlaveEndedIsCarriedOut"},
	"another boot of the machine":                {"slave/damage_test.go TestAfterAnotherBootOfTheMachineTasksAreSaidToBeGone"},
	"a slave that has less to offer than it had": {"slave/damage_test.go TestASlaveWithOtherResourcesAndAttributesIsTheSameSlave"},
}

func TestWhatAStrangersCommandMayTryIsShownSomewhere(t *testing.T) {
	for what, tests := range hostile {
		for _, test := range tests {
			file, name, _ := strings.Cut(test, " ")
			text, err := os.ReadFile("../" + file)
			require.NoError(t, err, what)
			require.Contains(t, string(text), "\nfunc "+name+"(t *testing.T)", what)
		}
	}
}
