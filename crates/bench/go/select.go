package main

import (
	"reflect"
	"sync"
	"time"
)

var sink int

func channels(n, capacity int) []chan int {
	cs := make([]chan int, n)
	for i := range cs {
		cs[i] = make(chan int, capacity)
	}
	return cs
}

func select2(c []chan int) {
	select {
	case sink = <-c[0]:
	case sink = <-c[1]:
	}
}

func select4(c []chan int) {
	select {
	case sink = <-c[0]:
	case sink = <-c[1]:
	case sink = <-c[2]:
	case sink = <-c[3]:
	}
}

func select16(c []chan int) {
	select {
	case sink = <-c[0]:
	case sink = <-c[1]:
	case sink = <-c[2]:
	case sink = <-c[3]:
	case sink = <-c[4]:
	case sink = <-c[5]:
	case sink = <-c[6]:
	case sink = <-c[7]:
	case sink = <-c[8]:
	case sink = <-c[9]:
	case sink = <-c[10]:
	case sink = <-c[11]:
	case sink = <-c[12]:
	case sink = <-c[13]:
	case sink = <-c[14]:
	case sink = <-c[15]:
	}
}

func init() {
	for _, s := range []struct {
		name string
		n    int
		one  func([]chan int)
	}{{"2", 2, select2}, {"4", 4, select4}, {"16", 16, select16}} {
		add("select/ready/"+s.name, func(n int) time.Duration {
			cs := channels(s.n, 1)
			start := time.Now()
			for i := range n {
				cs[i%s.n] <- i
				s.one(cs)
			}
			return time.Since(start)
		})
		add("select/feed_tasks/"+s.name, func(n int) time.Duration {
			cs := channels(s.n, 1)
			var both sync.WaitGroup
			start := time.Now()
			both.Go(func() {
				for i := range n {
					cs[i%s.n] <- i
				}
			})
			both.Go(func() {
				for range n {
					s.one(cs)
				}
			})
			both.Wait()
			return time.Since(start)
		})
	}
	add("select/ready/1000", func(n int) time.Duration {
		cs := channels(1000, 1)
		cases := make([]reflect.SelectCase, len(cs))
		for i, c := range cs {
			cases[i] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)}
		}
		start := time.Now()
		for i := range n {
			cs[i%len(cs)] <- i
			reflect.Select(cases)
		}
		return time.Since(start)
	})
	add("select/default/2", func(n int) time.Duration {
		cs := channels(2, 1)
		start := time.Now()
		for range n {
			select {
			case sink = <-cs[0]:
			case sink = <-cs[1]:
			default:
			}
		}
		return time.Since(start)
	})
	add("select/timeout_ready", func(n int) time.Duration {
		c := make(chan int, 1)
		var never chan int
		start := time.Now()
		for i := range n {
			c <- i
			select {
			case sink = <-c:
			case sink = <-never:
			case <-time.After(time.Hour):
			}
		}
		return time.Since(start)
	})
	add("select/pingpong_tasks", func(n int) time.Duration {
		ping, pong, quit := make(chan int, 1), make(chan int, 1), make(chan int)
		var both sync.WaitGroup
		start := time.Now()
		both.Go(func() {
			for i := range n {
				ping <- i
				select {
				case sink = <-pong:
				case <-quit:
				}
			}
			close(quit)
		})
		both.Go(func() {
			for {
				select {
				case i := <-ping:
					pong <- i
				case <-quit:
					return
				}
			}
		})
		both.Wait()
		return time.Since(start)
	})
}
