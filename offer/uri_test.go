package offer_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
)

func TestURIsOfStrangersAreChecked(t *testing.T) {
	for _, ok := range []offer.URI{
		{Value: "http://h/a"}, {Value: "https://user:pw@h:8443/x/y.tar.gz?sig=1#f", Extract: true}, {Value: "file:///srv/a", Executable: true, Cache: true},
		{Value: "http://h", OutputFile: "index.html"}, {Value: "http://h/a", OutputFile: "bin/tools/a"},
	} {
		require.NoError(t, offer.ValidateURIs([]offer.URI{ok}), ok.Value)
	}
	for _, c := range []struct {
		u    offer.URI
		want string
	}{
		{offer.URI{}, "has no scheme"},
		{offer.URI{Value: "/etc/passwd"}, "has no scheme (allowed: http://, https:// or file://)"},
		{offer.URI{Value: "ftp://h/a"}, `uris[0].value "ftp://h/a": this scheme is not fetched`},
		{offer.URI{Value: "file://host/a"}, "names a host"},
		{offer.URI{Value: "http:///a"}, "has no host"},
		{offer.URI{Value: "http://h/a b"}, "contains a space"},
		{offer.URI{Value: "http://h/a\x00"}, "control character"},
		{offer.URI{Value: "http://h/"}, "ends without a file's name"},
		{offer.URI{Value: "http://h/a/.."}, "ends without a file's name"},
		{offer.URI{Value: "http://h/" + strings.Repeat("a", offer.MaxURI)}, "allowed: at most 4096"},
		{offer.URI{Value: "http://h/a", Extract: true, Executable: true}, "together with extract"},
		{offer.URI{Value: "http://h/a", OutputFile: "/etc/cron.d/x"}, `uris[0].output file "/etc/cron.d/x": is not a path inside the sandbox`},
		{offer.URI{Value: "http://h/a", OutputFile: "../x"}, "is not a path inside the sandbox"},
		{offer.URI{Value: "http://h/a", OutputFile: "a/../../x"}, "is not a path inside the sandbox"},
		{offer.URI{Value: "http://h/a", OutputFile: "a//x"}, "is not a path inside the sandbox"},
		{offer.URI{Value: "http://h/a", OutputFile: "a\nb"}, "control character"},
		{offer.URI{Value: "http://h/a", OutputFile: `a\b`}, "backslash"},
		{offer.URI{Value: "http://h/a", OutputFile: "stderr"}, "is the task's own output"},
	} {
		require.ErrorContains(t, offer.ValidateURIs([]offer.URI{c.u}), c.want)
	}
	require.ErrorContains(t, offer.ValidateURIs(make([]offer.URI, offer.MaxURIs+1)), "129 of them (allowed: at most 128)")
}

func TestImagesOfStrangersAreChecked(t *testing.T) {
	require.NoError(t, offer.ValidateImage(nil))
	require.NoError(t, offer.ValidateImage(&offer.Image{Reference: "docker.io/library/busybox:1"}))
	require.ErrorContains(t, offer.ValidateImage(&offer.Image{}), "is empty")
	require.ErrorContains(t, offer.ValidateImage(&offer.Image{Reference: "a\nb"}), "control character")
	require.ErrorContains(t, offer.ValidateImage(&offer.Image{Reference: strings.Repeat("a", 1025)}), "1025 bytes")
}

func ExampleURI() {
	c := offer.Command{Value: "./serve", URIs: []offer.URI{{Value: "https://example.org/app.tar.gz", Extract: true, Cache: true}}}
	b, _ := json.Marshal(c.URIs)
	fmt.Println(string(b), offer.ValidateURIs(c.URIs))
	// Output:
	// [{"Value":"https://example.org/app.tar.gz","Extract":true,"Executable":false,"Cache":true,"OutputFile":""}] <nil>
}
