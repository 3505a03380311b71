//go:build !cgo

package main

// gcPercent is how much a server's heap grows before it is collected. Without C
// the store keeps its blocks on it, and the heap would take three times as much.
const gcPercent = 100
