package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// machine tells what was measured on.
func machine(e environment, chosen []contender) []fact {
	facts := []fact{
		{"CPU", fmt.Sprintf("%d × %s, shared by the server and the load", runtime.NumCPU(), procLine("/proc/cpuinfo", "model name"))},
		{"memory", mebibytes(procLine("/proc/meminfo", "MemTotal"))},
		{"system", "Linux " + firstLine("", "uname", "-r") + ", " + runtime.GOARCH},
		{"Go", strings.TrimPrefix(runtime.Version(), "go")},
	}
	ask := func(name, runtime string, command ...string) {
		if slices.ContainsFunc(chosen, func(c contender) bool { return c.name == name }) {
			facts = append(facts, fact{runtime, firstLine("", command[0], command[1:]...)})
		}
	}
	ask("UnboundID", "Java", "java", "-version")
	ask("scimmy", "Node", "node", "--version")
	ask("scim2-server", "Python", filepath.Join(e.tools, "scim2server", "bin", "python"), "--version")
	return facts
}

// procLine returns what stands behind the first such name.
func procLine(file, name string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

func mebibytes(text string) string {
	kb, err := strconv.Atoi(strings.TrimSuffix(text, " kB"))
	if err != nil {
		return text
	}
	return fmt.Sprintf("%.1f GiB", float64(kb)/1024/1024)
}

// measureFsync tells how long the disk beneath the folder takes.
func measureFsync(dir string) (fsync, error) {
	const times = 201
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		return fsync{}, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4096)
	var appended, inPlace []float64
	for i := range 2 * times {
		begin := time.Now()
		if i < times {
			_, err = f.Write(block)
			if err == nil {
				err = datasync(f)
			}
			appended = append(appended, millis(time.Since(begin)))
		} else {
			_, err = f.WriteAt(block, int64(i-times)*4096)
			if err == nil {
				err = datasync(f)
			}
			inPlace = append(inPlace, millis(time.Since(begin)))
		}
		if err != nil {
			return fsync{}, err
		}
	}
	slices.Sort(appended)
	slices.Sort(inPlace)
	return fsync{Append: appended[times/2], InPlace: inPlace[times/2]}, nil
}
