package main

import (
	"sync"
	"time"
)

func init() {
	for _, c := range []struct {
		cell          string
		threads       int
		storesInCent  int
	}{
		{"map/load/alone", 1, 0},
		{"map/load/threads4", 4, 0},
		{"map/store1/alone", 1, 1},
		{"map/store1/threads4", 4, 1},
		{"map/store10/alone", 1, 10},
		{"map/store10/threads4", 4, 10},
	} {
		add(c.cell, func(n int) time.Duration {
			const keys = 1024
			var m sync.Map
			for k := range uint64(keys) {
				m.Store(k, k)
			}
			var wg sync.WaitGroup
			start := time.Now()
			for t := range c.threads {
				wg.Go(func() {
					dice := uint64(0x9E3779B97F4A7C15) * uint64(t+1)
					for i := range n / c.threads {
						dice ^= dice << 13
						dice ^= dice >> 7
						dice ^= dice << 17
						if i%100 < c.storesInCent {
							m.Store(dice%keys, uint64(i))
						} else {
							m.Load(dice % keys)
						}
					}
				})
			}
			wg.Wait()
			return time.Since(start)
		})
	}
}
