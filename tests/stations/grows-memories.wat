;; Lets three memories grow by turns until none grows any more: no single one is large.
(component
  (core module $memory
    (memory 0)
    (func (export "grow") (result i32) (memory.grow (i32.const 4))))
  (core instance $a (instantiate $memory))
  (core instance $b (instantiate $memory))
  (core instance $c (instantiate $memory))
  (core module $m
    (import "a" "grow" (func $a (result i32)))
    (import "b" "grow" (func $b (result i32)))
    (import "c" "grow" (func $c (result i32)))
    (func (export "run") (result i32)
      (loop
        (br_if 0 (i32.or (i32.ge_s (call $a) (i32.const 0))
          (i32.or (i32.ge_s (call $b) (i32.const 0)) (i32.ge_s (call $c) (i32.const 0))))))
      unreachable))
  (core instance $i (instantiate $m
    (with "a" (instance $a)) (with "b" (instance $b)) (with "c" (instance $c))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $station (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $station)))
