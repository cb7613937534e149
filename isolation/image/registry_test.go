package image

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// bcrypted is the word "secret", as the registry's list of users has it.
const bcrypted = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"

// realRegistry starts a registry server on loopback, that of distribution, and returns its address.
func realRegistry(t *testing.T) string {
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("docker-registry is not installed, and this is CI, where everything runs")
		}
		t.Skip("docker-registry is not installed: apt-get install docker-registry")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := ln.Addr().String()
	require.NoError(t, ln.Close())
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "users"), []byte("me:"+bcrypted+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.yml"), []byte(fmt.Sprintf(`version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %[1]s/data}, maintenance: {uploadpurging: {enabled: false}}}
http: {addr: %[2]s}
auth: {htpasswd: {realm: test, path: %[1]s/users}}
`, dir, address)), 0o600))
	cmd := exec.Command(program, "serve", filepath.Join(dir, "config.yml"))
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if b, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("the registry said: %s", b)
		}
	})
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 60*time.Second, 20*time.Millisecond, "the registry listens")
	return address
}

// push brings an image to a registry as team/app:v1, and returns its digest.
func push(t *testing.T, address string, m *made) string {
	from, err := oci.New(layoutOf(t, map[string]*made{"v1": m}))
	require.NoError(t, err)
	repo, err := remote.NewRepository(address + "/team/app")
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	repo.PlainHTTP, repo.Client = true, &auth.Client{Client: client, Credential: auth.StaticCredential(address, auth.Credential{Username: "me", Password: "secret"})}
	pushed, err := oras.Copy(context.Background(), from, "v1", repo, "v1", oras.DefaultCopyOptions)
	require.NoError(t, err)
	return string(pushed.Digest)
}

func TestImagesArePulledFromARealRegistry(t *testing.T) {
	address := realRegistry(t)
	m, want := layered()
	digest := push(t, address, m)
	ctx := context.Background()
	s := newStore(t, func(c *StoreConfig) { c.Registries = []Registry{{Host: address, User: "me", Password: "secret"}} })
	u, err := s.Get(ctx, "c", address+"/team/app:v1")
	require.NoError(t, err)
	require.Equal(t, digest, u.Digest)
	require.Equal(t, want, flat(t, u))
	clean(t, s)
	u, err = s.Get(ctx, "d", address+"/team/app@"+u.Digest)
	require.NoError(t, err)
	require.Equal(t, want, flat(t, u))
	_, err = s.Get(ctx, "e", address+"/team/app:v2")
	require.ErrorContains(t, err, "not found")
	_, err = s.Get(ctx, "e", address+"/other/app:v1")
	require.Error(t, err)
	for _, password := range []string{"", "wrong"} {
		s := newStore(t, func(c *StoreConfig) { c.Registries = []Registry{{Host: address, User: "me", Password: password}} })
		_, err = s.Get(ctx, "c", address+"/team/app:v1")
		require.Error(t, err)
		require.NotContains(t, err.Error(), "wrong")
	}
}

// fakeRegistry serves one image, and lets a test answer what it likes.
func fakeRegistry(t *testing.T, m *made, answer func(w http.ResponseWriter, r *http.Request, name string) bool) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if answer != nil && answer(w, r, name) {
			return
		}
		if name == "v1" {
			name = string(m.manifest.Digest)
		}
		for d, b := range m.blobs {
			if string(d) == name {
				w.Header().Set("Content-Type", m.types[d])
				w.Header().Set("Docker-Content-Digest", name)
				w.Header().Set("Content-Length", fmt.Sprint(len(b)))
				if r.Method != http.MethodHead {
					_, _ = w.Write(b)
				}
				return
			}
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return strings.TrimPrefix(s.URL, "http://")
}

func TestARegistryThatLiesHarmsNobody(t *testing.T) {
	m := makeImage(nil, archive("a "+strings.Repeat("x", 1000)), archive("b b"))
	var man ocispec.Manifest
	layer := string(layersOf(t, m, &man)[1].Digest)
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	on := func(name string, f func(w http.ResponseWriter)) func(http.ResponseWriter, *http.Request, string) bool {
		return func(w http.ResponseWriter, _ *http.Request, asked string) bool {
			if asked == name {
				f(w)
			}
			return asked == name
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request, string) bool
		want   string
	}{
		"it serves another layer": {on(layer, func(w http.ResponseWriter) { _, _ = w.Write(archive("b c")) }), "layer 2 of 2: "},
		"it serves less than it said": {on(layer, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "2048")
			_, _ = w.Write(archive("b b")[:600])
		}), "layer 2 of 2: "},
		"it sends to a metadata service": {on(layer, func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://169.254.169.254/x")
			w.WriteHeader(307)
		}), "169.254.169.254 is a link-local address, which this slave does not allow"},
		"it sends to another on loopback": {on(layer, func(w http.ResponseWriter) { w.Header().Set("Location", other.URL); w.WriteHeader(307) }), "127.0.0.1 is a loopback address, which this slave does not allow"},
		"it sends round in circles":       {on(layer, func(w http.ResponseWriter) { w.Header().Set("Location", "/v2/x/y/blobs/"+layer); w.WriteHeader(307) }), "more than 10 redirects"},
		"it has no end": {on(layer, func(w http.ResponseWriter) {
			for {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}), "layer 2 of 2: "},
		"its manifest is no manifest": {on("v1", func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") }), "image 127.0.0.1:"},
		"it says no":                  {on("v1", func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }), "403"},
	} {
		t.Run(name, func(t *testing.T) {
			address := fakeRegistry(t, m, c.answer)
			s := newStore(t, func(c *StoreConfig) { c.Registries = []Registry{{Host: address}} })
			_, err := s.Get(context.Background(), "c", address+"/x/y:v1")
			require.ErrorContains(t, err, c.want)
			clean(t, s)
			require.Zero(t, count(t, s, "images"))
		})
	}
}

func layersOf(t *testing.T, m *made, man *ocispec.Manifest) []ocispec.Descriptor {
	require.NoError(t, json.Unmarshal(m.blobs[m.manifest.Digest], man))
	return man.Layers
}

func TestAPullThatEndsEarlyGoesOnFromThere(t *testing.T) {
	m := makeImage(nil, archive("a a"), archive("b b"))
	var man ocispec.Manifest
	layers := layersOf(t, m, &man)
	var first, second atomic.Int64
	var hang atomic.Bool
	hang.Store(true)
	asked := make(chan struct{}, 1)
	address := fakeRegistry(t, m, func(_ http.ResponseWriter, r *http.Request, name string) bool {
		switch name {
		case string(layers[0].Digest):
			first.Add(1)
		case string(layers[1].Digest):
			second.Add(1)
			if hang.Load() {
				asked <- struct{}{}
				<-r.Context().Done()
				return true
			}
		}
		return false
	})
	s := newStore(t, func(c *StoreConfig) { c.Registries = []Registry{{Host: address}} })
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		_, err := s.Get(ctx, "c", address+"/x/y:v1")
		result <- err
	}()
	<-asked
	cancel()
	require.ErrorIs(t, <-result, context.Canceled)
	clean(t, s)
	require.Equal(t, 1, count(t, s, "layers"))
	hang.Store(false)
	_, err := s.Get(context.Background(), "c", address+"/x/y:v1")
	require.NoError(t, err)
	require.EqualValues(t, 1, first.Load(), "the first layer was there")
	require.EqualValues(t, 2, second.Load())
	// One that hangs for ever ends with its time.
	hang.Store(true)
	slow := newStore(t, func(c *StoreConfig) { c.Registries = []Registry{{Host: address}}; c.Timeout = 300 * time.Millisecond })
	_, err = slow.Get(context.Background(), "c", address+"/x/y:v1")
	require.ErrorContains(t, err, "not there in 300ms, the most that is allowed")
	clean(t, slow)
}
