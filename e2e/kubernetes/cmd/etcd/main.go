// etcd as its own release builds it; go.etcd.io/etcd/v3 itself is not a module that can be required.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
