package main

import (
	"slices"
	"sync"
	"time"
)

// together has k goroutines do n operations between them.
func together(n, k int, op func(i int)) time.Duration {
	var wg sync.WaitGroup
	start := time.Now()
	for range k {
		wg.Go(func() {
			for i := range n / k {
				op(i)
			}
		})
	}
	wg.Wait()
	return time.Since(start)
}

// addShared adds cells for op on one goroutine and on two and four.
func addShared(cell string, op func(i int)) {
	for k, name := range map[int]string{1: "/alone", 2: "/threads2", 4: "/threads4"} {
		add(cell+name, func(n int) time.Duration { return together(n, k, op) })
	}
}

func init() {
	var m sync.Mutex
	lock := func(int) {
		m.Lock()
		sink++
		m.Unlock()
	}
	addShared("sync/mutex", lock)
	add("sync/mutex/tasks1", func(n int) time.Duration { return together(n, 1, lock) })
	add("sync/mutex/tasks4", func(n int) time.Duration { return together(n, 4, lock) })
	// The longest that one of four goroutines was without the lock, in place of the time of
	// one operation; of each the same number of turns, however many operations are asked for.
	add("sync/mutex/threads4/longest", func(n int) time.Duration {
		const turns = 100_000
		var longest [4]time.Duration
		var wg sync.WaitGroup
		for g := range longest {
			wg.Go(func() {
				last := time.Now()
				for range turns {
					lock(0)
					now := time.Now()
					longest[g] = max(longest[g], now.Sub(last))
					last = now
				}
			})
		}
		wg.Wait()
		return slices.Max(longest[:]) * time.Duration(n)
	})

	var rw sync.RWMutex
	written := 0
	addShared("sync/rwlock/read95", func(i int) {
		if i%20 == 19 {
			rw.Lock()
			written++
			rw.Unlock()
		} else {
			rw.RLock()
			// Looked at, since a value that is only named is not even loaded.
			if written < 0 {
				panic("counts up")
			}
			rw.RUnlock()
		}
	})

	var once sync.Once
	addOp("sync/once/done", func() { once.Do(func() {}) })

	value := sync.OnceValue(func() int { return 7 })
	addOp("sync/oncecell/done", func() { sink = value() })

	var wg sync.WaitGroup
	addShared("sync/waitgroup/add_done", func(int) {
		wg.Add(1)
		wg.Done()
	})
	var idle sync.WaitGroup
	addOp("sync/waitgroup/wait_at_zero", func() { idle.Wait() })

	pool := sync.Pool{New: func() any { return new(int) }}
	addShared("sync/pool/get_put", func(int) {
		p := pool.Get().(*int)
		*p++
		pool.Put(p)
	})
}
