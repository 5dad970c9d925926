;; Makes streams of WASI 0.3 that nobody reads, and drops none.
(component
  (type $stream (stream u8))
  (core func $new (canon stream.new $stream))
  (core module $m
    (import "" "new" (func $new (result i64)))
    (func (export "run") (result i32) (loop (drop (call $new)) (br 0)) unreachable))
  (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $station (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $station)))
