//go:build race

package pebble_test

// The race detector makes the engine check itself and takes ten times as long.
const slow = 10
