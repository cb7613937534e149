package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation/image"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
)

func TestWhichImagesTasksMayHaveIsChosenByFlags(t *testing.T) {
	dir := folder(t)
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	good := write("good.json", `{"auths":{"registry.example.org":{"auth":"bWU6c2VjcmV0OndvcmQ="}},"credsStore":"other"}`)
	f := imageFlags{registries: []string{"registry.example.org", "127.0.0.1:5000"}, credentials: good, folders: []string{dir}, ca: good, disk: 100}
	cfg, err := f.config()
	require.NoError(t, err)
	require.Equal(t, image.Config{Store: image.StoreConfig{MaxBytes: 100 << 20, Folders: []string{dir}, CAFile: good, Registries: []image.Registry{
		{Host: "registry.example.org", User: "me", Password: "secret:word"}, {Host: "127.0.0.1:5000"}}}}, cfg)
	for want, args := range map[string][]string{
		`--image-registry "https://registry.example.org": must be HOST or HOST:PORT`: {"--image-registry", "https://registry.example.org"},
		`--image-registry "a/b": must be HOST or HOST:PORT`:                          {"--image-registry", "a/b"},
		`--image-registry "": must be HOST or HOST:PORT`:                             {"--image-registry", `""`},
		`--image-folder "` + dir + `/none": must be a folder that exists`:            {"--image-folder", dir + "/none"},
		`--image-disk "0": must be above zero`:                                       {"--image-disk", "0"},
		`--image-ca "` + dir + `": must be a file that exists`:                       {"--image-ca", dir},
		`none.json": must be a file that can be read`:                                {"--image-credentials", dir + "/none.json"},
		`and has some for "registry.example.org"`:                                    {"--image-credentials", good},
		`and is no such JSON`:                                                        {"--image-credentials", write("bad.json", "secret")},
		`and is not for "h"`:                                                         {"--image-credentials", write("worse.json", `{"auths":{"h":{"auth":"secret!"}}}`)},
	} {
		_, errs, code := meros(t, append([]string{"slave", "--listen", "127.0.0.1:0", "--master", "127.0.0.1:1", "--work-dir", dir}, args...)...)
		require.Equal(t, 2, code, errs)
		require.Contains(t, errs, want)
		require.NotContains(t, errs, "secret")
	}
}

func TestRunTakesAnImageAndThenNeedsNoCommand(t *testing.T) {
	f := &runFlags{cpus: "1", mem: "64", disk: "0", output: 110, image: "registry.example.org/app:v1"}
	task, err := f.task(nil)
	require.NoError(t, err)
	require.Equal(t, &offer.Image{Reference: "registry.example.org/app:v1"}, task.Image)
	require.Equal(t, &offer.Command{}, task.Command)
	require.Equal(t, "registry.example.org/app:v1", task.Name)
	task, err = f.task([]string{"ls", "-l"})
	require.NoError(t, err)
	require.Equal(t, &offer.Command{Value: "ls", Arguments: []string{"ls", "-l"}}, task.Command)
	for want, args := range map[string][]string{
		"run: no command": {}, `--image "a b": "a b": contains a space`: {"--image", "a b", "--", "true"}} {
		_, errs, code := meros(t, append([]string{"run", "--master", "127.0.0.1:1"}, args...)...)
		require.Equal(t, 2, code, errs)
		require.Contains(t, errs, want)
	}
}

func TestACommandRunsInAnImage(t *testing.T) {
	isolationtest.NeedsRoot(t)
	if runtime.GOOS != "linux" {
		t.Skipf("needs root folders of containers, which %s does not have", runtime.GOOS)
	}
	t.Parallel()
	dir := isolationtest.Image{Programs: []string{"sh", "cat"}, Files: map[string]string{"greeting": "hello\n"},
		Config: map[string]any{"Cmd": []string{"/bin/cat", "/greeting"}}}.Write(t)
	c := fetchingSlave(t, "--image-folder", dir)
	run := func(image string, args ...string) (string, string, int) {
		return meros(t, c.args("run", append([]string{"--cpus", "0.1", "--mem", "32", "--image", image}, args...)...)...)
	}
	out, errs, code := run("layout:" + dir)
	require.Zero(t, code, errs)
	require.Equal(t, "hello\n", out)
	out, errs, code = run("layout:"+dir, "--", "sh", "-c", "cat /greeting /etc/hostname; exit 7")
	require.Equal(t, 7, code, errs)
	require.Equal(t, "hello\n", out)
	_, errs, code = run("layout:/etc")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "image layout:/etc: this slave allows no images there (allowed: below "+dir+") (REASON_FORBIDDEN)")
}
