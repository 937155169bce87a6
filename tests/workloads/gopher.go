// What Go programs do: their own system calls, without a C library to look over.
// Usage: gopher OP ARGUMENT…
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		os.Exit(99)
	}
}

// IN TEMPORARY OUT: read whole, written whole under a name for the time being, renamed
func save(a []string) {
	bytes, err := os.ReadFile(a[0])
	must(err)
	must(os.WriteFile(a[1], bytes, 0o644))
	must(os.Rename(a[1], a[2]))
}

// IN OUT: io.Copy, which leaves the copying to the kernel
func stream(a []string) {
	in, err := os.Open(a[0])
	must(err)
	out, err := os.Create(a[1])
	must(err)
	_, err = io.Copy(out, in)
	must(err)
	must(out.Close())
}

// IN OUT: seven goroutines at once read IN and make OUT.0 … OUT.6
func routines(a []string) {
	var group sync.WaitGroup
	for i := 0; i < 7; i++ {
		group.Add(1)
		go func(i int) {
			defer group.Done()
			stream([]string{a[0], fmt.Sprintf("%s.%d", a[1], i)})
		}(i)
	}
	group.Wait()
}

// PROGRAM ARGUMENT…: another program
func execute(a []string) {
	must(exec.Command(a[0], a[1:]...).Run())
}

// HOST:PORT: connected to, by a name that Go's own resolver looks up
func dial(a []string) {
	connection, err := net.Dial("tcp4", a[0])
	must(err)
	must(connection.Close())
}

func main() {
	operations := map[string]func([]string){
		"save": save, "stream": stream, "routines": routines, "execute": execute,
		"dial": dial,
	}
	operations[os.Args[1]](os.Args[2:])
}
