package main

import (
	"os"
	"syscall"
)

// attributes lets the kernel kill a server when this program dies, however it
// does.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// datasync syncs what was written, and not when.
func datasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
