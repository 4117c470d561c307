//! Fixed random numbers, equal in every run.

use ahash::random_state::RandomSource;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Resets the hasher's keys and the generator of the calling thread.
pub fn fix() {
    struct Counter(AtomicUsize);
    impl RandomSource for Counter {
        fn gen_hasher_seed(&self) -> usize {
            // Relaxed: there is only one thread.
            self.0.fetch_add(0x9e37_79b9, Ordering::Relaxed)
        }
    }
    let source = Counter(AtomicUsize::new(1));
    ahash::random_state::set_random_source(source).expect("nothing was hashed yet");
    fastrand::seed(1);
}

/// `getrandom` calls this when it is built with `getrandom_backend="custom"`.
///
/// # Safety
///
/// `to` is valid for writes of `len` bytes.
#[cfg(getrandom_backend = "custom")]
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    to: *mut u8,
    len: usize,
) -> Result<(), getrandom::Error> {
    for place in 0..len {
        // SAFETY: within the `len` bytes that the caller promises.
        unsafe { to.add(place).write(place as u8 + 1) };
    }
    Ok(())
}

#[cfg(not(getrandom_backend = "custom"))]
compile_error!(
    "build with RUSTFLAGS='--cfg getrandom_backend=\"custom\"', as ci/instructions.sh does"
);
