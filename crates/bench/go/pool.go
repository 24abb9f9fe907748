package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const million = 1_000_000

// batches does n operations, k at most at a time.
func batches(n, k int, batch func(k int)) time.Duration {
	start := time.Now()
	for left := n; left > 0; left -= min(left, k) {
		batch(min(left, k))
	}
	return time.Since(start)
}

func each(k int, f func(i int)) {
	var wg sync.WaitGroup
	wg.Add(k)
	for i := range k {
		go func() {
			f(i)
			wg.Done()
		}()
	}
	wg.Wait()
}

func nothing(int) {}

var spun atomic.Uint64

// spin makes so many steps of a generator of random numbers.
func spin(steps int) {
	x := uint64(1)
	for range steps {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	if x == 0 {
		spun.Add(1)
	}
}

func work1us(int) { spin(330) }

func skewed(i int) {
	if i%64 == 0 {
		spin(10_000)
	} else {
		spin(100)
	}
}

func link(left int, end chan struct{}) {
	if left == 0 {
		close(end)
	} else {
		go link(left-1, end)
	}
}

// yields lets k goroutines yield n times each.
func yields(n, k int) time.Duration {
	start := time.Now()
	each(k, func(int) {
		for range n {
			runtime.Gosched()
		}
	})
	return time.Since(start)
}

// scaled gives what n of the done operations took that took this long.
func scaled(n, done int, took time.Duration) time.Duration {
	return time.Duration(float64(took) * float64(n) / float64(done))
}

type crowd struct {
	parked, woken time.Duration
	bytes         int
}

func resident() int {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.Atoi(strings.Fields(string(statm))[1])
	return pages * 4096
}

func newCrowd() crowd {
	wait := make(chan struct{})
	var parked, ended atomic.Int64
	allParked, allEnded := make(chan struct{}), make(chan struct{})
	before := resident()
	start := time.Now()
	for range million {
		go func() {
			if parked.Add(1) == million {
				close(allParked)
			}
			<-wait
			if ended.Add(1) == million {
				close(allEnded)
			}
		}()
	}
	<-allParked
	c := crowd{parked: time.Since(start), bytes: resident() - before}
	start = time.Now()
	close(wait)
	<-allEnded
	c.woken = time.Since(start)
	return c
}

var firstBytes = sync.OnceValue(func() int { return newCrowd().bytes })

func fan(n int) time.Duration {
	in, out := make(chan int, 100), make(chan int, 100)
	var workers, all sync.WaitGroup
	start := time.Now()
	for range 8 {
		workers.Go(func() {
			for i := range in {
				out <- i
			}
		})
	}
	all.Go(func() {
		for i := range n {
			in <- i
		}
		close(in)
	})
	all.Go(func() {
		for range out {
		}
	})
	workers.Wait()
	close(out)
	all.Wait()
	return time.Since(start)
}

func init() {
	addOp("pool/spawn/1", func() {
		done := make(chan struct{})
		go close(done)
		<-done
	})
	for _, k := range []int{1000, 100_000, million} {
		add("pool/spawn/"+strconv.Itoa(k), func(n int) time.Duration {
			return batches(n, k, func(k int) { each(k, nothing) })
		})
	}
	// A goroutine is a closure and blocks as it likes.
	add("pool/closures/1000", func(n int) time.Duration {
		return batches(n, 1000, func(k int) { each(k, nothing) })
	})
	add("pool/yield/1", func(n int) time.Duration { return yields(n, 1) })
	add("pool/yield/1000", func(n int) time.Duration {
		each := n/1000 + 1
		return scaled(n, 1000*each, yields(each, 1000))
	})
	add("pool/chain", func(n int) time.Duration {
		end := make(chan struct{})
		start := time.Now()
		go link(n, end)
		<-end
		return time.Since(start)
	})
	add("pool/fan", fan)
	add("pool/work/1us", func(n int) time.Duration {
		return batches(n, 1000, func(k int) { each(k, work1us) })
	})
	add("pool/work/skewed", func(n int) time.Duration {
		return batches(n, 1000, func(k int) { each(k, skewed) })
	})
	add("pool/work/burst2x35us", func(n int) time.Duration {
		var sum time.Duration
		for range n {
			time.Sleep(300 * time.Microsecond)
			start := time.Now()
			each(2, func(int) { spin(18_000) })
			sum += time.Since(start)
		}
		return sum
	})
	add("pool/blocked/10000", func(n int) time.Duration {
		const k = 10_000
		var ready, ended sync.WaitGroup
		wait := make(chan struct{})
		start := time.Now()
		ready.Add(k)
		for range k {
			ended.Go(func() {
				ready.Done()
				<-wait
			})
		}
		ready.Wait()
		close(wait)
		ended.Wait()
		return scaled(n, k, time.Since(start))
	})
	add("pool/park/1000000", func(n int) time.Duration {
		return scaled(n, million, newCrowd().parked)
	})
	add("pool/wake/1000000", func(n int) time.Duration {
		return scaled(n, million, newCrowd().woken)
	})
	add("pool/park_bytes/1000000", func(n int) time.Duration {
		return scaled(n, million, time.Duration(firstBytes()))
	})
}
