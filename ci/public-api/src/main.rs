//! Prints the public API of a crate, an item a line, from the JSON that rustdoc made of it.
//!
//! Left out is what is the same for each type: blanket and auto trait implementations. The
//! auto traits are asserted in `tests/semantics/values.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(json) = std::env::args_os().nth(1) else {
        eprintln!("usage: relay-registry-public-api <rustdoc.json>");
        return ExitCode::FAILURE;
    };
    let listing = public_api::Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .build();
    match listing {
        Ok(listing) => {
            println!("{listing}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
