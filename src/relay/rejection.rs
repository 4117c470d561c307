//! [`Rejection`]: why a relay is not eligible.

/// Declares the reasons, and [`Rejection::ALL`] of them.
macro_rules! rejections {
    ($($(#[$doc:meta])* $reason:ident: $name:literal,)*) => {
        /// Why a relay is not eligible.
        ///
        /// This is the only list of reasons: the counts in
        /// [`Rejections`](crate::Rejections), the [`Verdict`](crate::Verdict) of an
        /// explanation and the states of leaves are derived from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(crate) enum Rejection {
            $($(#[$doc])* $reason,)*
        }

        impl Rejection {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$reason,)*];

            /// As messages name it.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$reason => $name,)*
                }
            }
        }
    };
}

rejections! {
    /// It left or expired.
    Departed: "departed",
    /// All its units are taken, or fewer are free than the call asks for.
    Full: "full",
    /// It takes no new leases.
    Draining: "draining",
    /// It failed lately, and is not yet due for a trial.
    BackingOff: "backing off",
    /// The operator banned it.
    Banned: "banned",
    /// It is the target, the requester, this node, or excluded by the call, by its id or
    /// failure domain.
    Excluded: "excluded",
    /// It lacks a label that the call requires, or has one that the call avoids.
    Labels: "with other labels",
    /// It is not reachable over the family that the call asks for.
    Family: "of the other family",
    /// It was measured, and is beyond the maximum latency of the call.
    TooFar: "too far",
    /// It was not measured, and the call has a maximum latency.
    Unmeasured: "unmeasured",
    /// A relay of a lower tier is eligible.
    Tier: "of a higher tier",
}
