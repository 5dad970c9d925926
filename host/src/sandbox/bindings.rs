//! The types of `wit/`, generated.

#![allow(missing_docs, unreachable_pub, reason = "generated")]

/// The world `station`.
pub(crate) mod station {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "station",
        imports: { default: trappable },
        exports: { default: async },
    });
}

/// The world `station-async`.
pub(crate) mod station_async {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "station-async",
        imports: { default: trappable },
        exports: { default: async | store },
        with: {
            "andon:station/work": super::station::andon::station::work,
            "andon:station/log": super::station::andon::station::log,
            "andon:station/progress": super::station::andon::station::progress,
            "wasi:config/store": super::station::wasi::config::store,
        },
    });
}

pub(crate) use station::andon::station::work;
