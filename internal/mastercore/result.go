package mastercore

import (
	"encoding/binary"

	"github.com/meros-project/meros/offer"
)

// withResult begins what is kept of a status whose task has a check; what is kept of any other begins as appendContainer does.
const withResult = 2

// appendResult writes what a task's check has come to; nothing if it has none.
func appendResult(dst []byte, r *offer.CheckResult) []byte {
	if r == nil {
		return dst
	}
	flags := byte(0)
	if r.Known {
		flags |= 1
	}
	if r.Succeeded {
		flags |= 2
	}
	dst = append(dst, withResult, byte(r.Kind), flags)
	return binary.AppendVarint(binary.AppendVarint(dst, int64(r.ExitCode)), int64(r.Status))
}

// cutResult is the reverse of appendResult.
func cutResult(packed string) (r *offer.CheckResult, rest string) {
	if packed == "" || packed[0] != withResult {
		return nil, packed
	}
	r = &offer.CheckResult{Kind: offer.CheckKind(packed[1]), Known: packed[2]&1 != 0, Succeeded: packed[2]&2 != 0}
	rest = packed[3:]
	for _, number := range [...]*int{&r.ExitCode, &r.Status} {
		n, size := binary.Varint([]byte(rest[:min(len(rest), binary.MaxVarintLen64)]))
		*number, rest = int(n), rest[size:]
	}
	return r, rest
}
