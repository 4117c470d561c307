//! Atomics with a step before each operation: in models one that the scheduler
//! sees (`model`), elsewhere a delay now and then (`delays`).

#[cfg(not(relay_loom))]
use super::delays::step;
#[cfg(relay_loom)]
use super::model::step;
#[cfg(relay_loom)]
use loom::sync::atomic as inner;
#[cfg(not(relay_loom))]
use std::sync::atomic as inner;

use super::Ordering;

macro_rules! stepped_atomic {
    ($name:ident, $value:ty) => {
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub(crate) struct $name(inner::$name);

        #[allow(dead_code)]
        impl $name {
            #[cfg(relay_loom)]
            pub(crate) fn new(value: $value) -> Self {
                Self(inner::$name::new(value))
            }

            #[cfg(not(relay_loom))]
            pub(crate) const fn new(value: $value) -> Self {
                Self(inner::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.swap(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.0.compare_exchange(current, new, success, failure)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            pub(crate) fn fetch_update(
                &self,
                set_order: Ordering,
                fetch_order: Ordering,
                mut next: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut current = self.load(fetch_order);
                loop {
                    let new = next(current).ok_or(current)?;
                    match self.compare_exchange(current, new, set_order, fetch_order) {
                        Ok(_) => return Ok(current),
                        Err(seen) => current = seen,
                    }
                }
            }
        }
    };
    ($name:ident, $value:ty, arithmetic) => {
        stepped_atomic!($name, $value);

        #[allow(dead_code)]
        impl $name {
            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_sub(value, order)
            }

            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_or(value, order)
            }

            pub(crate) fn fetch_and(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_and(value, order)
            }

            pub(crate) fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.fetch_max(value, order)
            }
        }
    };
}

stepped_atomic!(AtomicBool, bool);
stepped_atomic!(AtomicU32, u32, arithmetic);
stepped_atomic!(AtomicU64, u64, arithmetic);

#[derive(Debug)]
pub(crate) struct AtomicPtr<T>(inner::AtomicPtr<T>);

#[allow(dead_code)]
impl<T> AtomicPtr<T> {
    pub(crate) fn new(value: *mut T) -> Self {
        Self(inner::AtomicPtr::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        step();
        self.0.load(order)
    }

    pub(crate) fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        step();
        self.0.swap(value, order)
    }

    pub(crate) fn compare_exchange(
        &self,
        current: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        step();
        self.0.compare_exchange(current, new, success, failure)
    }
}
