// Package registry pulls images from registries that speak the OCI distribution protocol, for package image. A program that wants that says
// image.UseRegistry(registry.Open) before slave.Supervise.
package registry
