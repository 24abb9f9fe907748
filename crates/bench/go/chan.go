package main

import (
	"fmt"
	"sync"
	"time"
)

// unbounded stands for the capacity that Go lacks; such cells are left out.
var caps = []int{0, 1, 100}

func init() {
	for _, c := range caps {
		for _, shape := range [][2]int{{1, 1}, {4, 1}, {4, 4}, {32, 32}} {
			add(fmt.Sprintf("chan_tasks/cap%d/%d:%d", c, shape[0], shape[1]), func(n int) time.Duration {
				return through(c, shape[0], shape[1], n)
			})
		}
	}
	for _, c := range []int{0, 1} {
		add(fmt.Sprintf("chan_tasks/pingpong/cap%d", c), func(n int) time.Duration {
			return pingPong(c, n)
		})
	}
	add("chan_tasks/alone/cap100", func(n int) time.Duration {
		c := make(chan int, 100)
		start := time.Now()
		for i := range n {
			c <- i
			<-c
		}
		return time.Since(start)
	})
	addOp("chan_tasks/oneshot", func() {
		c := make(chan int, 1)
		c <- 1
		close(c)
		<-c
	})
}

func through(capacity, senders, receivers, n int) time.Duration {
	c := make(chan int, capacity)
	each := n/senders + 1
	var sent, received sync.WaitGroup
	start := time.Now()
	for range receivers {
		received.Go(func() {
			for range c {
			}
		})
	}
	for range senders {
		sent.Go(func() {
			for i := range each {
				c <- i
			}
		})
	}
	sent.Wait()
	close(c)
	received.Wait()
	return time.Since(start)
}

func pingPong(capacity, n int) time.Duration {
	ping, pong := make(chan int, capacity), make(chan int, capacity)
	var both sync.WaitGroup
	start := time.Now()
	both.Go(func() {
		for i := range n {
			ping <- i
			<-pong
		}
		close(ping)
	})
	both.Go(func() {
		for i := range ping {
			pong <- i
		}
	})
	both.Wait()
	return time.Since(start)
}
