// Package unpack writes the content of archives that strangers made below a folder, and nowhere else.
//
// Everything is done through an os.Root, entry by entry. An entry is refused, and with it the archive, if its name is absolute or holds
// "..", if it lies below something that is not a folder that is really there, or if it is a device, a fifo or a socket. Links are made only
// where every way of following them ends inside the folder, unless the folder becomes the root folder of a container, where they are
// followed from inside. What is there is replaced and never written through. Setuid bits are stripped. Counts, sizes and the ratio of
// unpacked to packed bytes are bounded.
package unpack
