package pebble

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	engine "github.com/cockroachdb/pebble/v2"
)

// checkManifest refuses a manifest that is damaged before its last record. The
// engine takes damage for the end that a crash left, and would go on without
// the files that later records name. Damage of the last record cannot be told
// from a crash.
func (t *Table) checkManifest() error {
	d, err := engine.Peek(t.dir, t.fs)
	if err != nil {
		return t.openFailed(err)
	}
	if !d.Exists {
		return t.openFailed(engine.ErrDBDoesNotExist)
	}
	f, err := t.fs.Open(d.ManifestFilename)
	if err != nil {
		return t.openFailed(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return t.openFailed(err)
	}
	if at, damaged := damage(b); damaged {
		return fmt.Errorf("open the store: %w: its manifest at byte %d; restore the folder from a backup", ErrDamaged, at)
	}
	return nil
}

// The manifest is a log of records in blocks. A record is one chunk or, over
// the end of a block, several: a checksum of 4 bytes, the length of the payload
// in 2, the chunk's kind in 1, and the payload. The checksum is CRC-32C over
// kind and payload, rotated and shifted by a constant.
const (
	blockSize   = 32 << 10
	chunkHeader = 7
	chunkWhole  = 1 // a record of one chunk
	chunkFirst  = 2 // the first chunk of a record
	chunkLast   = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// damage returns the offset of the first chunk that is not whole, if a record
// begins after it: a crash cuts off one record, the last.
func damage(b []byte) (offset int, damaged bool) {
	at := 0
	for at < len(b) {
		if left := blockSize - at%blockSize; left < chunkHeader {
			at += left
			continue
		}
		size, _, ok := chunk(b, at)
		if !ok {
			break
		}
		at += size
	}
	for next := at + 1; next < len(b); next++ {
		if _, kind, ok := chunk(b, next); ok && (kind == chunkWhole || kind == chunkFirst) {
			return at, true
		}
	}
	return at, false
}

// chunk returns the size and kind of the whole chunk at the offset, false if
// there is none.
func chunk(b []byte, at int) (size int, kind byte, ok bool) {
	block := b[at:min(len(b), at-at%blockSize+blockSize)]
	if len(block) < chunkHeader {
		return 0, 0, false
	}
	kind = block[6]
	size = chunkHeader + int(binary.LittleEndian.Uint16(block[4:]))
	if kind < chunkWhole || kind > chunkLast || size > len(block) {
		return 0, 0, false
	}
	sum := crc32.Checksum(block[6:size], castagnoli)
	sum = (sum>>15 | sum<<17) + 0xa282ead8
	return size, kind, sum == binary.LittleEndian.Uint32(block)
}
