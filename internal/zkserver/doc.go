// Package zkserver runs real ZooKeeper servers on loopback, of Debian's package zookeeper, for tests and for measurements.
//
//	servers, err := zkserver.Start(zkserver.Options{Dir: dir, Servers: 3})
//	defer zkserver.Close(servers)
//	address := zkserver.URL(servers, "/prod")
//
// Each is a process of its own with a folder of its own, which can be killed and started again with what it has written.
package zkserver
