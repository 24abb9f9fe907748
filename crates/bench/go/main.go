// Measures Go beside rendez: the same cells, the same two commands as the Rust program.
//
//	bench list                       CELL <tab> CONTENDER, one pair a line
//	bench run CELL CONTENDER MS N    NS_PER_OP CPU_NS_PER_OP ITERATIONS, one sample a line
//
// A row is added with add in an init function of its area's file.
package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// run does n operations and says how long they took.
type run func(n int) time.Duration

type row struct {
	cell string
	run  run
}

var rows []row

func add(cell string, r run) { rows = append(rows, row{cell, r}) }

// addOp adds a cell whose operations are calls of op on one goroutine.
func addOp(cell string, op func()) {
	add(cell, func(n int) time.Duration {
		start := time.Now()
		for range n {
			op()
		}
		return time.Since(start)
	})
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func measure(r run, ms, samples int) {
	time.AfterFunc(30*time.Second, func() {
		fmt.Fprintln(os.Stderr, "stuck")
		os.Exit(3)
	})
	target := time.Duration(ms) * time.Millisecond
	n := 64
	took := r(n)
	for took < target/4 {
		wanted := float64(target/4) / max(float64(took), 1) * 1.2
		n = int(float64(n) * min(max(wanted, 2), 64))
		took = r(n)
	}
	for range samples {
		n = max(int(float64(n)*float64(target)/float64(took)), 16)
		before := cpu()
		took = r(n)
		used := cpu() - before
		fmt.Printf("%.3f %.3f %d\n", float64(took)/float64(n), float64(used)/float64(n), n)
	}
}

func main() {
	args := os.Args[1:]
	switch {
	case len(args) == 1 && args[0] == "list":
		for _, r := range rows {
			fmt.Printf("%s\tgo\n", r.cell)
		}
		return
	case len(args) == 5 && args[0] == "run":
		ms, _ := strconv.Atoi(args[3])
		samples, _ := strconv.Atoi(args[4])
		for _, r := range rows {
			if r.cell == args[1] {
				measure(r.run, ms, samples)
				return
			}
		}
	}
	fmt.Fprintln(os.Stderr, "usage: bench list | run CELL CONTENDER MS SAMPLES")
	os.Exit(2)
}
