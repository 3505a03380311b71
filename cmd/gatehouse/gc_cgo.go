//go:build cgo

package main

// gcPercent is how much a server's heap grows before it is collected. The store
// keeps its blocks beside the heap, on which little lives between requests, so
// collections come often: half as many take a few percent less CPU and some ten
// megabytes more.
const gcPercent = 200
