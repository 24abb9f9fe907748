package main

import (
	"sort"
	"sync"
	"time"
)

// The cells are those of src/time.rs. A timer of Go's needs no poll to be there, so the
// two ways of ours to make one stand beside the same program.
func init() {
	stopped := func() { time.NewTimer(time.Hour).Stop() }
	addOp("time/create_stop", stopped)
	addOp("time/create_poll_drop", stopped)
	add("time/create_poll_drop/100000_live", func(n int) time.Duration {
		live := timers(100_000)
		defer stop(live)
		start := time.Now()
		for range n {
			stopped()
		}
		return time.Since(start)
	})
	for _, cell := range []string{"time/million", "time/million/polled"} {
		add(cell, func(n int) time.Duration {
			const many = 1_000_000
			rounds := (n + many - 1) / many
			var total time.Duration
			for range rounds {
				start := time.Now()
				stop(timers(many))
				total += time.Since(start)
			}
			return time.Duration(float64(total) * float64(n) / float64(rounds*many))
		})
	}
	add("time/fire", func(n int) time.Duration {
		start := time.Now()
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { time.Sleep(time.Millisecond + time.Duration(i%1000)*time.Microsecond) })
		}
		wg.Wait()
		return time.Since(start)
	})
	for _, d := range []time.Duration{100 * time.Microsecond, time.Millisecond} {
		name := map[bool]string{true: "time/overshoot/100us", false: "time/overshoot/1000us"}[d < time.Millisecond]
		add(name, func(n int) time.Duration {
			var late time.Duration
			for range n {
				start := time.Now()
				time.Sleep(d)
				late += time.Since(start) - d
			}
			return late
		})
	}
	for _, percent := range []int{50, 99} {
		name := map[int]string{50: "time/late/median", 99: "time/late/p99"}[percent]
		add(name, func(n int) time.Duration {
			many := max(n, 200)
			late := make([]time.Duration, many)
			first := time.Now().Add(5 * time.Millisecond)
			var wg sync.WaitGroup
			for i := range many {
				wg.Go(func() {
					due := first.Add(time.Duration(i) * 50 * time.Microsecond)
					time.Sleep(time.Until(due))
					late[i] = time.Since(due)
				})
			}
			wg.Wait()
			sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
			return late[(many-1)*percent/100] * time.Duration(n)
		})
	}
	addOp("time/select_timeout_ready", func() {
		select {
		case ready <- 1:
		default:
		}
		select {
		case <-ready:
		case <-time.After(time.Hour):
		}
	})
}

var ready = make(chan int, 1)

func timers(n int) []*time.Timer {
	all := make([]*time.Timer, n)
	for i := range all {
		all[i] = time.NewTimer(time.Hour + time.Duration(i)*time.Microsecond)
	}
	return all
}

func stop(all []*time.Timer) {
	for _, t := range all {
		t.Stop()
	}
}
