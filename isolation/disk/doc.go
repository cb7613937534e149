// Package disk is the isolator that holds containers to their disk resource. It looks, now and then, at what is in a container's sandbox and
// in its persistent volumes, and has the container killed when that is more than it was given.
//
// What a sandbox may hold is the container's disk resource but for persistent volumes, each of which may hold as much as it is large; its
// message and Limitation tell how much was found. What counts is the space that files and folders take on the disk, so that holes cost
// nothing, and a file with several names costs once. Links are not followed, and what is mounted below is not looked at. Folders may be
// nested 256 deep, and a container may have Config.Files files: what goes beyond could not be measured with bounded work, and is a broken
// limit too.
//
// The first look comes a second after the start; from then on the pause doubles up to Config.Every, unless what is there grows so fast that
// the limit would be broken before. All looks together take at most half a processor, by turns of some hundred files, so that one that has a
// lot to look at does not keep the others from theirs. A container that ends between two looks is not failed for what it has left.
//
// It does not see
//   - a file that was deleted while a process still has it open, until the process closes it,
//   - what a task writes elsewhere: in /tmp or wherever its user may,
//   - a folder that a task has closed to everybody, where the slave does not run as root,
//   - what is written between two looks: a limit can be broken by what fits on the disk in that time.
//
// Project quotas, with which XFS and ext4 hold a folder to a size while it is written, are not used. They need a kernel, a file system and a
// mount that were all made for them, which the machines of the tests do not have, and what holds strangers to a limit is not kept untested.
package disk
