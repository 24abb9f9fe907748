package main

func init() {
	addOp("pool/spawn_join/1", func() {
		done := make(chan struct{})
		go close(done)
		<-done
	})
}
