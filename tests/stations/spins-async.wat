;; Never ends, as a program of WASI 0.3.
(component
  (core module $m (func (export "run") (result i32) (loop (br 0)) unreachable))
  (core instance $i (instantiate $m))
  (func $run async (result (result)) (canon lift (core func $i "run")))
  (instance $station (export "run" (func $run)))
  (export "wasi:cli/run@0.3.0" (instance $station)))
