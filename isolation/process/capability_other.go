//go:build !linux

package process

// A Grant is what is left of the capabilities of the calling thread. Here there are none.
type Grant struct{}

// BoundCapabilities does nothing here.
func BoundCapabilities([]string) (*Grant, error) { return &Grant{}, nil }

// Apply does nothing here.
func (*Grant) Apply() error { return nil }
