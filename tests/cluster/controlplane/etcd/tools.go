//go:build tools

// Package etcd says what the test beds build of etcd; a module of its own, because Kubernetes
// pins other versions of the same libraries.
package etcd

import _ "go.etcd.io/etcd/server/v3"
