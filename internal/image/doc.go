// Package image turns a graph of Go values in memory into bytes and back, exactly: what is behind pointers, slices, maps and interfaces, shared
// memory and cycles included. It is how the state of a core is kept at one moment without a second description of that state which could
// differ from it.
//
// An image belongs to the program that wrote it: it holds the fields of unexported structs as they lie in memory. Codec.Fingerprint tells
// the shapes of all types that it covers, and whoever keeps an image keeps the fingerprint with it and compares before Decode.
//
// What an image does not keep: the capacity of slices; that two slices of different length, or a pointer and a slice, share memory; where a
// time.Time is (it comes back in UTC) and its monotonic reading. Functions and channels cannot be kept; a Codec of a type that has one is
// refused.
//
// Decode trusts no byte: types, lengths, references and booleans are checked, and memory is bounded by the size of the input. What it returns
// is safe memory; whether it is a sensible state is for its owner to check.
//
// Hash folds the content of values into 64 bits, by the same knowledge of their types.
package image
