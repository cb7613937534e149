package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation/isolationtest"
)

const root = "../.."

// commandsOf are the commands in the sh blocks of a page of the documentation, each on one line and without comments.
func commandsOf(t *testing.T, page string) []string {
	text, err := os.ReadFile(filepath.Join(root, page))
	require.NoError(t, err)
	var commands []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		joined := strings.ReplaceAll(block[1], "\\\n", " ")
		for line := range strings.Lines(joined) {
			line, _, _ = strings.Cut(line, "# ")
			if line = strings.Join(strings.Fields(line), " "); line != "" {
				commands = append(commands, line)
			}
		}
	}
	require.NotEmpty(t, commands, page)
	return commands
}

// shell runs a line of the documentation in the root of the repository.
func shell(t *testing.T, line string, env ...string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	return string(out)
}

// there is for commands that run everything, or what other tests run: that what they name exists.
func there(paths ...string) func(*testing.T, string) {
	return func(t *testing.T, _ string) {
		for _, p := range paths {
			found, err := filepath.Glob(filepath.Join(root, p))
			require.NoError(t, err)
			require.NotEmpty(t, found, p)
		}
	}
}

// TestEveryCommandOfTheDocumentationRuns fails for a command that is not in this table, and for an entry of the table that no page has.
func TestEveryCommandOfTheDocumentationRuns(t *testing.T) {
	table := map[string]func(t *testing.T, line string){
		"go build ./...":                        there("go.mod"),
		"go test ./...":                         there("go.mod"),
		"go run ./examples/cluster":             there("examples/cluster/*_test.go"), // which runs it
		"git diff internal/mastercore/testdata": there("internal/mastercore/testdata/*.txt"),
		".ci/run": func(t *testing.T, line string) {
			shell(t, "test -x .ci/run && bash -n .ci/run")
		},
		".ci/fuzz 60": func(t *testing.T, line string) {
			shell(t, "test -x .ci/fuzz && bash -n .ci/fuzz")
		},
		"go install ./cmd/meros": func(t *testing.T, line string) {
			bin := t.TempDir()
			shell(t, line, "GOBIN="+bin)
			require.FileExists(t, filepath.Join(bin, "meros"))
		},
		"go test ./internal/mastercore -rewrite": func(t *testing.T, line string) {
			shell(t, line+" -run NoSuchTest") // the flag is known; nothing is written
		},
		"go run ./internal/sim/simulate -seeds 100 -hours 3": func(t *testing.T, line string) {
			require.Contains(t, shell(t, strings.Replace(strings.Replace(line, "100", "2", 1), "-hours 3", "-hours 0.1", 1)), "violations=0")
		},
		"go run ./internal/sim/simulate -seeds 1 -seed 42 -trace 1000": func(t *testing.T, line string) {
			require.Contains(t, shell(t, line), "violations=0")
		},
		"go run ./internal/sim/simulate -scenario FILE -trace 400": func(t *testing.T, line string) {
			files, err := filepath.Glob("../../internal/sim/testdata/regress/*.txt")
			require.NoError(t, err)
			require.NotEmpty(t, files)
			require.NotContains(t, shell(t, strings.Replace(line, "FILE", "./internal/sim/testdata/regress/"+filepath.Base(files[0]), 1)), "VIOLATION")
		},
		"go run ./internal/sim/simulate -bank -seed 1": func(t *testing.T, line string) {
			require.Contains(t, shell(t, line+" -plants all-is-well,another-boot"), "bugs=2 caught=2")
		},
		"go test ./internal/synctier -seed 7 -seeds 100": func(t *testing.T, line string) {
			shell(t, strings.Replace(line, "-seeds 100", "-seeds 1", 1))
		},
		"go run ./internal/lab/run -seed 7 -time 10m": there("internal/lab/run/main.go", "internal/lab/*_test.go"), // which run it
		"go run ./internal/bench": func(t *testing.T, line string) {
			require.Contains(t, shell(t, line), "e2e/offer")
		},
		"go run ./internal/bench e2e/offer": func(t *testing.T, line string) {
			require.Contains(t, shell(t, line+" -help"), "e2e/offer")
		},
	}
	real := &hosts{t: t}
	seen := map[string]bool{}
	for _, page := range []string{"README.md", "CONTRIBUTING.md"} {
		for _, line := range commandsOf(t, page) {
			if seen[line] = true; strings.HasPrefix(line, "meros ") {
				real.run(line)
				continue
			}
			require.Contains(t, table, line, "%s: nothing is known about this command", page)
			t.Log(line)
			table[line](t, line)
		}
	}
	for line := range table {
		require.True(t, seen[line], "no page says %q", line)
	}
	require.Equal(t, []string{"master", "slave", "run", "run", "run", "exec", "attach", "members", "explain"}, real.ran)
}

// mayHaveImages reports whether tasks of this machine's slaves can have images.
func mayHaveImages() bool { return runtime.GOOS == "linux" && os.Geteuid() == 0 }

// hosts run the README's commands for real hosts on loopback.
type hosts struct {
	t         *testing.T
	ran       []string
	dir       string
	addresses *strings.Replacer
	tls       *strings.Replacer
	images    *strings.Replacer
}

func (h *hosts) prepare() {
	h.dir = folder(h.t)
	free := ports(h.t, 4)
	h.addresses = strings.NewReplacer("10.0.0.1:5050", free[0], "10.0.0.2:5050", free[1], "10.0.0.3:5050", free[2], "10.0.0.4:5051", free[3])
	a := newAuthority(h.t)
	cert, key := a.leaf("node")
	image := h.t.TempDir()
	if mayHaveImages() {
		image = isolationtest.Image{Programs: []string{"echo"}, Config: map[string]any{"Cmd": []string{"/bin/echo", "from", "the", "image"}}}.Write(h.t)
	}
	h.images = strings.NewReplacer("--image-registry registry.example.org", "--image-folder "+image, "registry.example.org/team/app:v1", "layout:"+image)
	h.tls = strings.NewReplacer("ca.pem", a.ca(), "node.pem", cert, "node.key", key)
}

// arguments splits a line as a shell does.
func (h *hosts) arguments(line string) []string {
	cmd := exec.Command("sh", "-c", `set -- `+h.images.Replace(h.tls.Replace(h.addresses.Replace(line)))+`; printf '%s\0' "$@"`)
	out, err := cmd.Output()
	require.NoError(h.t, err)
	args := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	require.Equal(h.t, "meros", args[0])
	for _, a := range args {
		require.NotContains(h.t, a, "10.0.0.", "%s: an address that this test does not know", line)
		require.NotContains(h.t, a, "example.org", "%s: a host that this test does not know", line)
	}
	return args[1:]
}

func (h *hosts) run(line string) {
	if h.dir == "" {
		h.prepare()
	}
	t := h.t
	t.Log(line)
	command := strings.Fields(line)[1]
	h.ran = append(h.ran, command)
	switch command {
	case "master": // each of the three has its own address
		for _, own := range []string{"1", "2", "3"} {
			args := h.arguments(strings.Replace(line, "--listen 10.0.0.1:", "--listen 10.0.0."+own+":", 1))
			startNode(t, h.dir, "master-"+own, h.inside(args, "master-"+own)...)
		}
	case "slave":
		startNode(t, h.dir, "slave", h.inside(h.arguments(line), "slave")...)
	case "run":
		if strings.Contains(line, "--health-cmd") {
			out, errs, code := meros(t, h.arguments(strings.Replace(line, "sleep 15", "sleep 1", 1))...)
			require.Equal(t, 143, code, errs)
			require.Equal(t, "hi\n", out)
			require.Contains(t, errs, "it failed its health check 3 times in a row")
			break
		}
		out, errs, code := meros(t, h.arguments(line)...)
		switch image := strings.Contains(line, "--image"); {
		case image && mayHaveImages():
			require.Zero(t, code, errs)
			require.Equal(t, "from the image\n", out)
		case image:
			require.Equal(t, 1, code, errs)
			require.Contains(t, errs, "REASON_UNSUPPORTED")
		default:
			require.Equal(t, 3, code, errs)
			require.Equal(t, "hi\n", out)
		}
	case "exec", "attach": // of a task that is there
		args := h.arguments(line)
		flags := args[2 : slices.Index(args, "--tls-key")+2]
		waiting := background(t, slices.Concat([]string{"run"}, flags, []string{"--cpus", "0.1", "--mem", "64", "--", "sh", "-c", "while :; do echo tick; sleep 0.2; done"})...)
		eventually(t, "the task prints", func() bool { return strings.Contains(waiting.stdout.String(), "tick\n") })
		for _, row := range list[taskRow](t, slices.Concat([]string{"tasks", "--state", "TASK_RUNNING"}, flags)...) {
			args[1] = row.ID
		}
		if command == "exec" {
			out, errs, code := meros(t, args...)
			require.Zero(t, code, errs)
			require.Regexp(t, `^[a-z]+\n$`, out)
		} else {
			seeing := background(t, args...)
			eventually(t, "what it prints is seen", func() bool { return strings.Contains(seeing.stdout.String(), "tick\n") })
			require.NoError(t, seeing.cmd.Process.Signal(os.Interrupt))
			require.Equal(t, 130, seeing.wait())
		}
		waiting.end()
	case "members":
		eventually(t, "three masters and a slave are listed", func() bool { // what is shown may be a moment old
			out, errs, code := meros(t, h.arguments(line)...)
			require.Zero(t, code, errs)
			return strings.Count(out, "\n") == 5
		})
	case "explain": // of a framework that is there
		args := h.arguments(line)
		command := append(append([]string{"run"}, args[2:]...), "--cpus", "1", "--mem", "64", "--", "sleep", "1000")
		waiting := background(t, command...)
		eventually(t, "the framework is explained", func() bool {
			tasks := list[taskRow](t, append([]string{"tasks"}, args[2:]...)...)
			if len(tasks) == 0 {
				return false
			}
			args[1] = tasks[len(tasks)-1].FrameworkID
			out, errs, code := meros(t, args...)
			require.Zero(t, code, errs)
			return strings.Contains(out, args[1]+" in *")
		})
		require.NoError(t, waiting.cmd.Process.Signal(os.Interrupt))
		require.Equal(t, 130, waiting.wait())
	default:
		t.Errorf("%s: nothing is known about this command", line)
	}
}

// inside puts the work directory into the test's folder.
func (h *hosts) inside(args []string, name string) []string {
	i := slices.Index(args, "--work-dir")
	require.NotEqual(h.t, -1, i, "%q", args)
	require.True(h.t, strings.HasPrefix(args[i+1], "/var/lib/meros/"), "%q", args)
	return slices.Replace(slices.Clone(args), i+1, i+2, filepath.Join(h.dir, name))
}

func TestTheFrontPagesCodeAndLinksAreThere(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	hello, err := os.ReadFile(filepath.Join(root, "examples/hello/main.go"))
	require.NoError(t, err)
	plain := func(code string) string { return strings.Join(strings.Fields(code), " ") }
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		require.Contains(t, plain(string(hello)), plain(block[1]))
	}
	links := regexp.MustCompile(`\]\(([^)#]+)\)`)
	for _, page := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(filepath.Join(root, page))
		require.NoError(t, err)
		for _, link := range links.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(link[1], "://") {
				require.FileExists(t, filepath.Join(root, link[1]), page)
			}
		}
		for _, path := range regexp.MustCompile("`((?:internal|offer|examples|election)/[a-z/._]+)`").FindAllStringSubmatch(string(text), -1) {
			_, err := os.Stat(filepath.Join(root, path[1]))
			require.NoError(t, err, "%s names %s", page, path[1])
		}
	}
}
