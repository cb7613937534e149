package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/isolation/image"
)

// imageFlags say which images tasks may have.
type imageFlags struct {
	registries  []string
	credentials string
	folders     []string
	ca          string
	disk        int64 // MB
}

func (f *imageFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.registries, "image-registry", nil, "`HOST[:PORT]` of a registry that images of tasks may be pulled from, with https, or without where it is on loopback;\nmay be repeated; none by default")
	flags.StringVar(&f.credentials, "image-credentials", "", "`file` with user names and passwords for registries, as docker login writes it; none by default")
	flags.StringVar(&f.ca, "image-ca", "", "`file` with certificates of registries, in PEM, that are trusted beside the system's; none by default")
	flags.StringSliceVar(&f.folders, "image-folder", nil, "`folder` that layout:/ and archive:/ images of tasks may be read from; may be repeated; none by default")
	flags.Int64Var(&f.disk, "image-disk", 20480, "`MB` of disk for images, beyond which those that no task uses are thrown out")
}

func (f *imageFlags) config() (image.Config, error) {
	var cfg image.Config
	for _, folder := range f.folders {
		abs, err := filepath.Abs(folder)
		if err != nil {
			return cfg, err
		}
		if st, err := os.Stat(abs); err != nil || !st.IsDir() {
			return cfg, badFlag("image-folder", folder, "must be a folder that exists")
		}
		cfg.Store.Folders = append(cfg.Store.Folders, abs)
	}
	if f.disk <= 0 || f.disk > 1<<30 {
		return cfg, badFlag("image-disk", strconv.FormatInt(f.disk, 10), "must be above zero, and at most 1073741824")
	}
	cfg.Store.MaxBytes = f.disk << 20
	if f.ca != "" {
		abs, err := filepath.Abs(f.ca)
		if err != nil {
			return cfg, err
		}
		if st, err := os.Stat(abs); err != nil || !st.Mode().IsRegular() {
			return cfg, badFlag("image-ca", f.ca, "must be a file that exists")
		}
		cfg.Store.CAFile = abs
	}
	known, err := f.logins()
	if err != nil {
		return cfg, err
	}
	for _, host := range f.registries {
		// What is no host at all would never be met by the name of an image.
		if u, err := url.Parse("//" + host); err != nil || u.Host != host || u.Hostname() == "" {
			return cfg, badFlag("image-registry", host, "must be HOST or HOST:PORT, as in registry.example.org or 127.0.0.1:5000")
		}
		r := known[host]
		r.Host = host
		cfg.Store.Registries = append(cfg.Store.Registries, r)
		delete(known, host)
	}
	for _, host := range slices.Sorted(maps.Keys(known)) {
		return cfg, badFlag("image-credentials", f.credentials, fmt.Sprintf("must be for registries of --image-registry only, and has some for %.100q", host))
	}
	return cfg, nil
}

// logins reads a file of credentials, of which errors tell nothing.
func (f *imageFlags) logins() (map[string]image.Registry, error) {
	if f.credentials == "" {
		return nil, nil
	}
	b, err := os.ReadFile(f.credentials)
	if err != nil {
		return nil, badFlag("image-credentials", f.credentials, "must be a file that can be read")
	}
	var file struct {
		Auths map[string]struct{ Auth string }
	}
	bad := func(why error) error {
		return badFlag("image-credentials", f.credentials, `must be as in {"auths":{"HOST":{"auth":"base64 of USER:PASSWORD"}}}, and `+why.Error())
	}
	if json.Unmarshal(b, &file) != nil {
		return nil, bad(errors.New("is no such JSON"))
	}
	known := map[string]image.Registry{}
	for _, host := range slices.Sorted(maps.Keys(file.Auths)) {
		entry := file.Auths[host]
		plain, err := base64.StdEncoding.DecodeString(entry.Auth)
		user, password, ok := strings.Cut(string(plain), ":")
		if err != nil || !ok || user == "" {
			return nil, bad(fmt.Errorf("is not for %.100q", host))
		}
		known[host] = image.Registry{User: user, Password: password}
	}
	return known, nil
}
