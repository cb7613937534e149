package resource_test

import (
	"encoding/json"
	"fmt"

	"github.com/meros-project/meros/offer/resource"
)

func Example() {
	slave := resource.Must("cpus:4;mem:8192;ports:[31000-32000]")
	task := resource.Must("cpus:0.1;mem:64;ports:[31000-31001]")

	left, ok := slave.Sub(task)
	fmt.Println(left, ok)
	fmt.Println(left.Add(task).Equal(slave))
	_, ok = left.Sub(resource.Must("ports:[31001]"))
	fmt.Println(ok)
	// Output:
	// cpus:3.9;mem:8128;ports:[31002-32000] true
	// true
	// false
}

func ExampleParse() {
	r, err := resource.Parse("cpus(ops):2; cpus:4; disks:{sda,sdb}")
	fmt.Println(r, err)
	_, err = resource.Parse("cpus:0.0005")
	fmt.Println(err)
	// Output:
	// cpus:4;cpus(ops):2;disks:{sda,sdb} <nil>
	// resource: cpus "0.0005": must have at most 3 decimals
}

func ExampleResources_Find() {
	offered := resource.Must("cpus:4;cpus(ops):1;mem:1024;ports:[31000-31999]")
	want := resource.Must("cpus:1.5;mem:64").Add(resource.Resources{resource.NewRanges(resource.Ports, offered.Ports().Take(2)...)})
	task, ok := offered.Find(want)
	fmt.Println(task, ok)
	// Output: cpus:0.5;cpus(ops):1;mem:64;ports:[31000-31001] true
}

func ExampleResources_Reserve() {
	r, err := resource.Must("disk:64").Reserve(resource.Reservation{Type: resource.Dynamic, Role: "ops/db", Principal: "alice"})
	fmt.Println(r, err)
	fmt.Println(len(r.AvailableTo("ops")), len(r.AvailableTo("ops/db/replica")))
	out, _ := json.Marshal(r)
	fmt.Println(string(out))
	// Output:
	// disk{dynamic ops/db by alice}:64 <nil>
	// 0 1
	// [{"name":"disk","type":"SCALAR","scalar":{"value":64},"reservations":[{"type":"DYNAMIC","role":"ops/db","principal":"alice"}]}]
}

func ExampleQuantities() {
	quota, _ := resource.ParseQuantities("cpus:10;mem:4096")
	used := resource.Must("cpus:4;mem:1024;cpus(ops):3").Quantities()
	fmt.Println(used.Fits(quota), quota.Sub(used))
	// Output: true cpus:3;mem:3072
}

func ExampleResources_WithVolume() {
	disk, _ := resource.Must("disk:64").Reserve(resource.Reservation{Type: resource.Dynamic, Role: "db"})
	volume, err := disk.WithVolume(resource.Volume{ID: "v-1", ContainerPath: "data"})
	fmt.Println(volume, err)
	_, err = resource.Must("disk:64").WithVolume(resource.Volume{ID: "v-1", ContainerPath: "data"})
	fmt.Println(err)
	_, err = resource.Must("cpus:1;mem:64").WithVolume(resource.Volume{ID: "v-1"})
	fmt.Println(err)
	// Output:
	// disk{dynamic db,volume v-1 at data}:64 <nil>
	// resource: disk: a persistent volume must be on reserved disk
	// resource: disk: a persistent volume is made of exactly one entry
}
