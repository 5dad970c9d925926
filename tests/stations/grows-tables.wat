;; Lets two tables grow by turns until none grows any more: no single one is large.
(component
  (core module $m
    (table $a 0 funcref) (table $b 0 funcref)
    (func (export "run") (result i32)
      (loop
        (br_if 0 (i32.ge_s (table.grow $a (ref.null func) (i32.const 1000)) (i32.const 0)))
        (br_if 0 (i32.ge_s (table.grow $b (ref.null func) (i32.const 1000)) (i32.const 0))))
      unreachable))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $station (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $station)))
