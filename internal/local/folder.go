// Package local is the home off AWS: one program over a data folder. It opens
// the ports that package app needs, and does what AWS would do: listen, push the
// feed, call the sweep, take the operator's commands.
//
// It holds nothing of the product: what is possible here is possible on AWS.
package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gatehouse/internal/app"
	"gatehouse/internal/fault"
	"gatehouse/internal/secret"
)

// Folder is a data folder:
//
//	store/          the table
//	server.key      the key that all others are derived from; 0600
//	mail/           mails, where no SMTP server is named
//	demo.json       the demo organization's credential; 0600
//	gatehouse.sock  the command line's way in, while it is served; 0600
type Folder string

func (f Folder) path(name string) string { return filepath.Join(string(f), name) }

// KeyVariable names the environment variable that may hold the server's key
// instead of the file.
const KeyVariable = "GATEHOUSE_SERVER_KEY"

// prepare makes the folder, for its owner alone.
func (f Folder) prepare() error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.Chmod(string(f), 0o700); err != nil {
		return fmt.Errorf("close the data folder to others: %w", err)
	}
	return nil
}

// key reads the server's key, or makes it for a fresh store. A store without its
// key is of no use, so a missing one is never replaced. The caller holds the
// store: of two programs that begin at once only one gets here.
func (f Folder) key(fresh bool) (secret.Key, error) {
	if s := os.Getenv(KeyVariable); s != "" {
		k, err := secret.Parse(s)
		if err != nil {
			return k, fmt.Errorf("read %s: %w", KeyVariable, err)
		}
		return k, nil
	}
	b, err := os.ReadFile(f.path("server.key"))
	if err == nil {
		k, err := secret.Parse(string(b))
		if err != nil {
			return k, fmt.Errorf("read %s: %w", f.path("server.key"), err)
		}
		return k, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return secret.Key{}, fmt.Errorf("read the server key: %w", err)
	}
	if !fresh {
		return secret.Key{}, fault.New(fault.Unavailable, "", "The store in %s has lost its server.key. Bring it back from a backup, or set %s.", f, KeyVariable)
	}
	k := secret.Mint()
	if err := writeFile(f.path("server.key"), []byte(k.Reveal()+"\n")); err != nil {
		return k, fmt.Errorf("write the server key: %w", err)
	}
	return k, nil
}

// writeFile replaces a file as a whole, durably and readable for its owner only.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// demo reads what was kept of the demo organization; false if there is none.
func (f Folder) demo() (app.Demo, bool, error) {
	var d app.Demo
	b, err := os.ReadFile(f.path("demo.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return d, false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		return d, false, fmt.Errorf("read the demo organization's file: %w", err)
	}
	return d, true, nil
}

func (f Folder) keepDemo(d app.Demo) error {
	b, err := json.MarshalIndent(d, "", "  ")
	if err == nil {
		err = writeFile(f.path("demo.json"), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep the demo organization's credential: %w", err)
	}
	return nil
}
