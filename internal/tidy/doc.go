// Package tidy tests the shape of the tree: the pure heart, one door for each dependency, and arrows that only go down.
//
// The rules are data in rules.go; each refusal prints the rule's reason. Imports are read from the source of every file, whatever its
// build tags, tests excepted.
package tidy
