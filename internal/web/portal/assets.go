package portal

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// file is a file of ours that pages load.
type file struct {
	path        string // /assets/<name>.<hash>.<ext>: what it holds never changes
	contentType string
	data        []byte
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets reads the files, by their plain names.
func assets() map[string]file {
	out := map[string]file{}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		ext := path.Ext(e.Name())
		if contentTypes[ext] == "" {
			continue // licences go along in the binary, not to browsers
		}
		data, err := fs.ReadFile(assetFiles, "assets/"+e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		name := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		out[e.Name()] = file{path: "/assets/" + name, contentType: contentTypes[ext], data: data}
	}
	return out
}

func (p *portal) asset(x *exchange) error {
	for _, f := range p.files {
		if f.path != x.r.URL.Path {
			continue
		}
		h := x.w.Header()
		h.Set("Content-Type", f.contentType)
		h.Set("Content-Length", strconv.Itoa(len(f.data)))
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		x.status = http.StatusOK
		x.w.WriteHeader(http.StatusOK)
		if x.r.Method != http.MethodHead {
			x.w.Write(f.data)
		}
		return nil
	}
	return errNoPage
}
