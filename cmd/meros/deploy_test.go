package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"
)

// deployed is the text of a file below deploy.
func deployed(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy", path))
	require.NoError(t, err)
	return string(text)
}

// parses fails for a command line, without the word meros, that the program would refuse: an unknown command or flag, a value of the wrong type.
func parses(args []string) error {
	cmd, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	if cmd.Parent() == nil {
		return fmt.Errorf("%q is no command", args)
	}
	return cmd.ParseFlags(rest)
}

func TestEveryCommandInTheDocumentationParses(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	found := 0
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		joined := strings.ReplaceAll(string(text), "\\\n", " ")
		for _, m := range regexp.MustCompile("(?m)(?:`|^\\s*|\\bexec [a-z]+-[0-9] )(meros [a-z-]+[^`\\n]*)").FindAllStringSubmatch(joined, -1) {
			line, _, _ := strings.Cut(m[1], "  #")
			if !regexp.MustCompile(`^meros [a-z][a-z-]*( -|$| [A-Za-z0-9-]+ -)`).MatchString(line) {
				continue // a sentence
			}
			found++
			require.NoError(t, parses(splitWords(t, line)[1:]), "%s: %s", page, line)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(link[1], "://") {
				require.FileExists(t, filepath.Join(filepath.Dir(page), link[1]), page)
			}
		}
	}
	require.Greater(t, found, 10)
	require.Error(t, parses([]string{"master", "--no-such-flag"}))
	require.Error(t, parses([]string{"run", "--failover-timeout", "soon"}))
	require.Error(t, parses([]string{"nothing"}))
}

// splitWords splits a line as a shell does; nothing in it is carried out.
func splitWords(t *testing.T, line string) []string {
	t.Helper()
	quoted := regexp.MustCompile(`[$;&|<>]`).ReplaceAllString(line, "_")
	out, err := exec.Command("sh", "-c", `set -f; set -- `+quoted+`; printf '%s\0' "$@"`).Output()
	require.NoError(t, err, line)
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// directives are those that units may have, with what their values look like.
var directives = map[string]map[string]string{
	"Unit":    {"Description": `.+`, "After": `[a-z.-]+`, "Wants": `[a-z.-]+`},
	"Install": {"WantedBy": `multi-user\.target`},
	"Service": {
		"EnvironmentFile": `/etc/meros/(master|slave)\.env`, "LoadCredential": `[a-z.]+:/etc/meros/[a-z.]+`, "ExecStart": `/usr/local/bin/meros .+`,
		"DynamicUser": `yes`, "StateDirectory": `meros-(master|slave)`, "StateDirectoryMode": `07[0-7][0-7]`, "PrivateDevices": `yes`, "ProtectHome": `yes`,
		"LimitNOFILE": `\d+`, "Restart": `always`, "RestartSec": `\d+`, "KillMode": `process`, "OOMPolicy": `continue`, "TasksMax": `infinity`,
	},
}

// unit parses a unit file strictly: values by directive.
func unit(text string) (map[string][]string, error) {
	values, section := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch name, value, isValue := strings.Cut(line, "="); {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = strings.Trim(line, "[]")
			if directives[section] == nil {
				return nil, fmt.Errorf("section %q is not known", line)
			}
		case !isValue || directives[section][name] == "":
			return nil, fmt.Errorf("%q is not known in section %q", line, section)
		case !regexp.MustCompile("^(?:" + directives[section][name] + ")$").MatchString(value):
			return nil, fmt.Errorf("%q: want a value like %s", line, directives[section][name])
		default:
			values[name] = append(values[name], value)
		}
	}
	return values, nil
}

// exec are the words of a unit's command, with its variables and specifiers filled in.
func execOf(t *testing.T, values map[string][]string, fill *strings.Replacer) []string {
	t.Helper()
	require.Len(t, values["ExecStart"], 1)
	args := strings.Fields(fill.Replace(values["ExecStart"][0]))
	for _, a := range args {
		require.NotRegexp(t, `[%$]`, a, "nothing stands for this")
	}
	return args
}

func TestTheServicesAreSound(t *testing.T) {
	for _, role := range []string{"master", "slave"} {
		text := deployed(t, "systemd/meros-"+role+".service")
		values, err := unit(text)
		require.NoError(t, err)
		args := execOf(t, values, strings.NewReplacer("%S", "/var/lib", "%d", "/run/credentials", "${MEROS_LISTEN}", "10.0.0.1:5050", "${MEROS_MASTERS}", "10.0.0.1:5050"))
		require.Equal(t, role, args[1])
		require.NoError(t, parses(args[1:]))
		require.Contains(t, args, "/var/lib/"+values["StateDirectory"][0], "the work directory survives")
		for _, c := range values["LoadCredential"] {
			name, _, _ := strings.Cut(c, ":")
			require.Contains(t, text, "%d/"+name)
		}
		if role == "slave" { // see slave.Supervise
			require.Equal(t, []string{"process"}, values["KillMode"], "tasks outlive their slave")
		}
		analyze, err := exec.LookPath("systemd-analyze")
		if err != nil {
			t.Log("systemd-analyze is not here: the units were read by this test alone")
			continue
		}
		copied := filepath.Join(t.TempDir(), "meros-"+role+".service")
		require.NoError(t, os.WriteFile(copied, []byte(strings.Replace(text, "/usr/local/bin/meros", binary, 1)), 0o600))
		out, err := exec.Command(analyze, "verify", copied).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NotContains(t, string(out), "meros-", "it has a remark")
	}
	for _, wrong := range []string{"[Nothing]\n", "[Service]\nExecStrat=/usr/local/bin/meros x\n", "[Service]\nKillMode=all\n", "[Service]\nwords\n", "Restart=always\n"} {
		_, err := unit(wrong)
		require.Error(t, err, wrong)
	}
}

func TestTheComposeFileIsSound(t *testing.T) {
	type service struct {
		Build   struct{ Context, Dockerfile string }
		Image   string
		Restart string
		Command string
		Volumes []string
	}
	var file struct {
		Node     service `yaml:"x-node"`
		Services map[string]service
		Volumes  map[string]any
	}
	text := deployed(t, "compose.yaml")
	require.NoError(t, yaml.Unmarshal([]byte(text), &file))
	var raw map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &raw))
	require.ElementsMatch(t, []string{"x-node", "services", "volumes"}, keys(raw))
	require.Len(t, file.Services, 6)
	known := append(slices.Collect(func(yield func(string) bool) {
		for n := range file.Services {
			if !yield(n) {
				return
			}
		}
	}), "meros")
	for name, s := range file.Services {
		for key := range raw["services"].(map[string]any)[name].(map[string]any) {
			require.Contains(t, []string{"build", "image", "restart", "command", "volumes"}, key)
		}
		require.FileExists(t, filepath.Join(root, "deploy", s.Build.Context, s.Build.Dockerfile))
		args := strings.Fields(s.Command)
		require.Equal(t, strings.TrimRight(name, "-123"), args[0])
		require.NoError(t, parses(args), name)
		require.Contains(t, s.Command, "--listen "+name+":")
		require.Contains(t, s.Command, "--insecure", "plain text is said plainly")
		for _, host := range regexp.MustCompile(`([a-z0-9-]+):505\d`).FindAllStringSubmatch(s.Command, -1) {
			require.Contains(t, known, host[1], name)
		}
		volume, _, _ := strings.Cut(s.Volumes[0], ":")
		require.Contains(t, file.Volumes, volume)
		require.Contains(t, s.Command, "--work-dir /data/")
	}
	docker := deployed(t, "Dockerfile")
	require.Contains(t, docker, "go build -o /meros ./cmd/meros")
	require.Contains(t, docker, `ENTRYPOINT ["meros"]`)
}

func keys(m map[string]any) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	return all
}

func TestTheUserDataIsSound(t *testing.T) {
	for _, role := range []string{"master", "slave"} {
		text := deployed(t, "cloud-init/"+role+".yaml")
		require.True(t, strings.HasPrefix(text, "#cloud-config\n"), "without this line nothing of it is done")
		var raw map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &raw))
		require.ElementsMatch(t, []string{"write_files", "runcmd"}, keys(raw))
		files := map[string]string{}
		for _, f := range raw["write_files"].([]any) {
			file := f.(map[string]any)
			for key := range file {
				require.Contains(t, []string{"path", "content", "permissions"}, key)
			}
			path := file["path"].(string)
			require.True(t, filepath.IsAbs(path), path)
			files[path] = file["content"].(string)
			if strings.HasSuffix(path, ".key") {
				require.Equal(t, "0600", file["permissions"], "a key is for root alone")
			}
		}
		require.Equal(t, deployed(t, "systemd/meros-"+role+".service"), files["/etc/systemd/system/meros-"+role+".service"], "one service, written once")
		values, err := unit(files["/etc/systemd/system/meros-"+role+".service"])
		require.NoError(t, err)
		script := ""
		for _, c := range raw["runcmd"].([]any) {
			script += c.(string) + "\n"
		}
		out, err := exec.Command("sh", "-n", "-c", script).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, script, "> "+values["EnvironmentFile"][0]+"\n")
		for _, path := range regexp.MustCompile(`/etc/meros/[a-z]+\.(?:pem|key)`).FindAllString(files["/etc/systemd/system/meros-"+role+".service"], -1) {
			require.Contains(t, files, path)
		}
		require.Contains(t, script, "systemctl enable --now meros-"+role+"\n")
	}
}

func TestTheVagrantfileIsSound(t *testing.T) {
	text := deployed(t, "Vagrantfile")
	if ruby, err := exec.LookPath("ruby"); err == nil {
		out, err := exec.Command(ruby, "-c", filepath.Join(root, "deploy/Vagrantfile")).CombinedOutput()
		require.NoError(t, err, "%s", out)
	} else {
		t.Log("ruby is not here: the Vagrantfile was read by this test alone")
	}
	opened, closed := 0, 0
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if regexp.MustCompile(`\bdo( \|[a-z, ]+\|)?$`).MatchString(line) {
			opened++
		}
		if line == "end" {
			closed++
		}
		for _, pair := range []string{"()", "[]", "{}"} {
			require.Equal(t, strings.Count(line, pair[:1]), strings.Count(line, pair[1:]), line)
		}
		require.Zero(t, strings.Count(line, `"`)%2, line)
	}
	require.Equal(t, 4, opened)
	require.Equal(t, opened, closed)
	quickstart, err := os.ReadFile(filepath.Join(root, "docs/quickstart.md"))
	require.NoError(t, err)
	addresses := regexp.MustCompile(`192\.168\.56\.\d+`).FindAllString(text, -1)
	require.Len(t, addresses, 6)
	for _, a := range addresses {
		require.Contains(t, string(quickstart), a, "its certificate is in the kit")
	}
	require.Contains(t, text, `"/meros/deploy/install /meros/kit #{role} #{address} #{MASTERS.join(",")}"`)
	require.Contains(t, text, `config.vm.synced_folder "..", "/meros"`)
}
