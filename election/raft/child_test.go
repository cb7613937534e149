package raft

func childMain() {}
