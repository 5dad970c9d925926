;; Polls a list of two million entries, all of them the same timer.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "poll" (func (param "in" (list (borrow $p))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $p))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core module $memory
    (memory (export "memory") 160)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
  (core instance $memory (instantiate $memory))
  (core func $wait (canon lower (func $poll "poll")
    (memory $memory "memory") (realloc (func $memory "realloc"))))
  (core module $m
    (import "" "memory" (memory 160))
    (import "" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "" "poll" (func $poll (param i32 i32 i32)))
    (func (export "run") (result i32) (local $timer i32) (local $at i32)
      (local.set $timer (call $subscribe (i64.const -1)))
      (local.set $at (i32.const 16))
      (loop
        (i32.store (local.get $at) (local.get $timer))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (br_if 0 (i32.lt_u (local.get $at) (i32.const 8000016))))
      (call $poll (i32.const 16) (i32.const 2000000) (i32.const 0))
      (i32.const 0)))
  (core instance $i (instantiate $m
    (with "" (instance
      (export "memory" (memory $memory "memory"))
      (export "subscribe" (func $subscribe))
      (export "poll" (func $wait))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $station (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $station)))
