;; Asks for as many random bytes as a number can say.
(component
  (import "wasi:random/random@0.2.0" (instance $random
    (export "get-random-bytes" (func (param "len" u64) (result (list u8))))))
  (core module $memory
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 16)))
  (core instance $memory (instantiate $memory))
  (core func $draw (canon lower (func $random "get-random-bytes")
    (memory $memory "memory") (realloc (func $memory "realloc"))))
  (core module $m
    (import "" "draw" (func $draw (param i64 i32)))
    (func (export "run") (result i32) (call $draw (i64.const -1) (i32.const 0)) (i32.const 0)))
  (core instance $i (instantiate $m (with "" (instance (export "draw" (func $draw))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $station (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $station)))
