;; Has 144 core instances and one that runs.
(component
  (component $twelve
    (core module $e)
    (core instance (instantiate $e)) (core instance (instantiate $e)) (core instance (instantiate $e))
    (core instance (instantiate $e)) (core instance (instantiate $e)) (core instance (instantiate $e))
    (core instance (instantiate $e)) (core instance (instantiate $e)) (core instance (instantiate $e))
    (core instance (instantiate $e)) (core instance (instantiate $e)) (core instance (instantiate $e)))
  (instance (instantiate $twelve)) (instance (instantiate $twelve)) (instance (instantiate $twelve))
  (instance (instantiate $twelve)) (instance (instantiate $twelve)) (instance (instantiate $twelve))
  (instance (instantiate $twelve)) (instance (instantiate $twelve)) (instance (instantiate $twelve))
  (instance (instantiate $twelve)) (instance (instantiate $twelve)) (instance (instantiate $twelve))
  (core module $m (func (export "run") (result i32) (i32.const 0)))
  (core instance $i (instantiate $m))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (instance $station (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $station)))
