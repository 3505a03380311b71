//go:build unix && !linux

package lambda

import "syscall"

// attributes puts a process into a group of its own, so that all it started is
// stopped with it. Where there is no Linux a test that dies leaves its functions
// behind.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
