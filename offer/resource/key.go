package resource

import "encoding/binary"

// Key returns an encoding of r that is equal for two canonical values exactly if Equal is, for use as a map key when interning.
// It is opaque, differs between versions of this package, and is not for storage.
func (r Resources) Key() string { return string(r.AppendKey(nil)) }

// AppendKey appends the bytes of Key to dst; looking up m[string(dst)] then does not allocate.
func (r Resources) AppendKey(dst []byte) []byte {
	for i := range r {
		dst = r[i].appendIdentity(dst)
		e := &r[i]
		switch {
		case e.Shared:
			dst = binary.AppendUvarint(dst, uint64(e.count()))
		case e.Type == RangesType:
			dst = binary.AppendUvarint(dst, uint64(len(e.Ranges)))
			for _, x := range e.Ranges {
				dst = binary.AppendUvarint(binary.AppendUvarint(dst, x.Begin), x.End)
			}
		case e.Type == SetType:
			dst = binary.AppendUvarint(dst, uint64(len(e.Set)))
			for _, item := range e.Set {
				dst = appendText(dst, item)
			}
		default:
			dst = binary.AppendVarint(dst, int64(e.Scalar))
		}
	}
	return dst
}

// AppendIdentity appends an encoding of what SameKind compares: equal for two entries exactly if SameKind is.
func (r Resource) AppendIdentity(dst []byte) []byte { return r.appendIdentity(dst) }

func (r *Resource) appendIdentity(dst []byte) []byte {
	flags := byte(r.Type)
	for bit, set := range [3]bool{r.Revocable, r.Shared, r.Volume != nil} {
		if set {
			flags |= 0x10 << bit
		}
	}
	dst = appendText(append(dst, flags), r.Name)
	dst = binary.AppendUvarint(dst, uint64(len(r.Reservations)))
	for i := range r.Reservations {
		res := &r.Reservations[i]
		dst = appendText(appendText(append(dst, byte(res.Type)), res.Role), res.Principal)
		dst = binary.AppendUvarint(dst, uint64(len(res.Labels)))
		for _, label := range res.Labels {
			dst = appendText(appendText(dst, label.Key), label.Value)
		}
	}
	if v := r.Volume; v != nil {
		dst = appendText(appendText(dst, v.ID), v.Principal)
		dst = binary.AppendVarint(dst, int64(r.Scalar))
	}
	return dst
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}
