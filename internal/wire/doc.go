// Package wire turns messages, log entries, snapshot items, journal records and a master core's events into msgpack and back. It is the only
// package that knows msgpack; the bytes are written and read by github.com/vmihailenco/msgpack/v5.
//
// Every struct is an array: old readers skip the fields that a newer writer appends, new readers leave the fields that an older
// writer did not know at zero. Field order is therefore append-only, and so are kinds. Encoding is canonical: equal values give equal bytes.
//
// Peers lie. Each Decode function first runs Scan, because the library trusts lengths: it checks nesting, every declared length against the
// bytes that are there and the number of elements, without allocating. Then it decodes under a budget of memory in proportion to the size
// of the input. Errors are *offer.Refusal: ReasonMalformed, ReasonTooLarge, or ReasonUnsupported for a kind or a version that this program
// does not know.
// What is decoded shares no memory with the input.
package wire
