//! The mappings that ship: `ingest/mappings/<vendor>/*.yaml`, as the build script lists them.

include!(concat!(env!("OUT_DIR"), "/mappings.rs"));
