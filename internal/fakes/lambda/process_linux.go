package lambda

import "syscall"

// attributes puts a process into a group of its own, so that all it started is
// stopped with it, and lets the kernel kill it when the test's process dies.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
