// Package image turns OCI images into the root folders of containers: from a registry, a folder in OCI layout, or a tarball of one or of
// `docker save`.
//
// An [Isolator] gives each container whose task or executor names an image a root folder: its layers under overlayfs with a folder on top that
// takes what the container writes, or, where overlayfs does not work, a copy. It leaves the folder's path in the plan, with what the image says
// about what is run, in which folder, with which variables and as whom, as far as the task does not say it. All that it makes is found again
// by the container's id.
//
// What strangers have made is looked at by a process of its own, a copy of the host program entered through [Main], which is confined as a
// fetcher is (package fetch): it can write to one folder, and of root's rights has those that it takes to give files to their owners. It ends
// with the slave, with a kill of the task, and when its time is up.
//
// A [Store] holds layers by the digest of their content, each unpacked once for all images and containers that share it. Every byte is
// checked against the digest that names it before a layer is used: the manifest's for what was transferred, the image configuration's for
// what was unpacked. Layers are strangers' archives and unpacked by package unpack: nothing of them gets outside their folder; devices and
// fifos are left out, because a container gets its own; setuid bits are stripped unless [StoreConfig].Setuid keeps them; file capabilities
// and other extended attributes are dropped.
//
// A layer that removes files of lower ones says so by whiteouts. They are kept beside the layer for [Flatten], and, where the file system and
// the user of this process allow it, in the form that overlayfs reads.
//
// An image stays while a container uses it, over restarts of the slave too. When the store grows beyond its bound, images that nobody uses go,
// the longest unused first, with the layers that no other image has, and so do those that nobody has used for
// long; where all are in use, a new one is refused. A pull that fails leaves the layers that are complete, so that the next attempt goes on from there, and nothing else.
//
// On disk:
//
//	layers/HEX/fs           a layer's content; HEX is the SHA-256 of its tar archive
//	layers/HEX/layer.json   its size and its whiteouts
//	images/HEX.json         an image: its layers and its configuration; HEX is the SHA-256 of its manifest
//	refs/HEX.json           which image a container uses; HEX follows from the container's id
//	roots/HEX/              the root folder of a container, and what was written to it
//	tmp/                    what is being unpacked; emptied at the start
package image
