package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/meros-project/meros/offer"
)

// parseVolume reads KIND:WHAT=PATH[,ro]. A file's name may have a '=', a path in a container may not here.
func parseVolume(text string) (offer.Volume, error) {
	var v offer.Volume
	rest, readOnly := strings.CutSuffix(text, ",ro")
	kind, rest, found := strings.Cut(rest, ":")
	at := strings.LastIndexByte(rest, '=')
	if !found || at <= 0 {
		return v, badFlag("volume", text, "must be KIND:WHAT=PATH, as in host:/srv/data=/data, sandbox:cache=/var/cache or secret:key.pem=/etc/app/key.pem")
	}
	what := rest[:at]
	v.ContainerPath, v.ReadOnly = rest[at+1:], readOnly
	switch kind {
	case "host":
		v.HostPath = what
	case "sandbox":
		v.SandboxPath = what
	case "secret":
		content, err := readSecret(what)
		if err != nil {
			return v, badFlag("volume", text, err.Error())
		}
		v.Secret = content
	default:
		return v, badFlag("volume", text, "must begin with host:, sandbox: or secret:")
	}
	return v, nil
}

func readSecret(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, offer.MaxSecret+1))
	if err == nil && len(content) == 0 {
		err = fmt.Errorf("%s is empty (allowed: a file with something in it)", name)
	}
	return content, err
}

// room is what the command sees beside its root folder and its sandbox.
func (f *runFlags) room(task *offer.Task) error {
	switch f.network {
	case "", "host":
	case "none":
		task.Network = offer.NetworkNone
	default:
		return badFlag("network", f.network, "must be host or none")
	}
	if err := offer.ValidateHostname(f.hostname); err != nil {
		return badFlag("hostname", f.hostname, "must be labels of 1 to 63 letters, digits and inner dashes with dots between them, of at most 64 bytes together")
	}
	task.Hostname = f.hostname
	for _, text := range f.volumes {
		v, err := parseVolume(text)
		if err != nil {
			return err
		}
		task.Volumes = append(task.Volumes, v)
		if err := offer.ValidateContainer(nil, task.Network, task.Volumes); err != nil {
			why := err.Error()
			if at := fmt.Sprintf("volumes[%d].", len(task.Volumes)-1); strings.HasPrefix(why, at) {
				why = why[len(at):]
			}
			return badFlag("volume", text, why)
		}
	}
	return nil
}
