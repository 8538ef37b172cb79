//! Has Cargo notice when the playground's assets appear or change.

use std::{env, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A debug build reads the assets when it runs: there is nothing to build anew.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        // For a path that does not exist, Cargo would build anew each time.
        let watched = if Path::new("web/dist").exists() { "web/dist" } else { "web" };
        println!("cargo::rerun-if-changed={watched}");
    }
}
