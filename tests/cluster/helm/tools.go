//go:build tools

// Package tools names what is built from this module, so that `go mod tidy` keeps it: the helm
// that lints and renders charts/portico in tests, built by tests/support/helm.py.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
