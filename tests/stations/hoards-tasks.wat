;; Begins waits of WASI 0.3 that never end, without waiting for any of them.
(component
  (import "wasi:clocks/monotonic-clock@0.3.0" (instance $clock
    (export "wait-for" (func async (param "how-long" u64)))))
  (core func $wait (canon lower (func $clock "wait-for") async))
  (core module $m
    (import "" "wait" (func $wait (param i64) (result i32)))
    (func (export "run") (result i32) (loop (drop (call $wait (i64.const -1))) (br 0)) unreachable))
  (core instance $i (instantiate $m (with "" (instance (export "wait" (func $wait))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $station (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $station)))
