package registry

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// Open opens an image; it is an image.Opener.
func Open(client *http.Client, plain bool, reference, user, password string, most int64) (
	top func(context.Context) (string, string, []byte, error),
	open func(context.Context, string, string, int64) (io.ReadCloser, error), err error) {
	name, err := registry.ParseReference(reference)
	if err != nil {
		return nil, nil, fmt.Errorf("is not the name of an image in a registry: %w", err)
	}
	repo := &remote.Repository{Reference: name, PlainHTTP: plain, MaxMetadataBytes: most,
		ManifestMediaTypes: []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerList}}
	credential := auth.EmptyCredential
	if user != "" || password != "" {
		credential = auth.Credential{Username: user, Password: password}
	}
	repo.Client = &auth.Client{Client: client, Credential: auth.StaticCredential(name.Host(), credential), Cache: auth.NewCache()}
	top = func(ctx context.Context) (string, string, []byte, error) {
		d, r, err := repo.Manifests().FetchReference(ctx, name.ReferenceOrDefault())
		if err != nil {
			return "", "", nil, err
		}
		defer r.Close()
		if d.Size > most {
			return "", "", nil, fmt.Errorf("manifest has %d bytes (allowed: at most %d)", d.Size, most)
		}
		b, err := content.ReadAll(r, d)
		return d.MediaType, string(d.Digest), b, err
	}
	open = func(ctx context.Context, mediaType, hash string, size int64) (io.ReadCloser, error) {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(hash), Size: size}
		switch mediaType {
		case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerList:
			return repo.Manifests().Fetch(ctx, d)
		}
		return repo.Blobs().Fetch(ctx, d)
	}
	return top, open, nil
}
