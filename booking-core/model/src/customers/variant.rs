//! The design, and what it would be without one of its guards or rules.

/// One guard or rule taken out; [`Variant::Design`] has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Design,
    /// hold does not compare the seats with the cap.
    NoSeatsCap,
    /// Claimed seats do not count for the cap.
    ClaimsNotCounted,
    /// hold does not compare the number of holds with the cap.
    NoHoldsCap,
    /// The end of a hold does not lower the count.
    EndNotCounted,
    /// apply counts a claim again when it comes again.
    ClaimsCountedTwice,
    /// load adds the claims to what was counted before.
    LoadAddsCounts,
    /// hold does not look at lapses.
    NoCoolDown,
    /// A lapse is not remembered.
    LapsesForgotten,
    /// release does not compare the holder.
    ReleaseByAnybody,
    /// extend does not compare the holder.
    ExtendByAnybody,
    /// extend does not count extensions.
    NoExtensionsCap,
    /// extend does not look at the lifetime.
    NoLifetime,
    /// A hold is good until it is swept.
    UsedPastEnd,
    /// hold does not look whether the sale is open yet.
    HoldBeforeOpening,
    /// hold does not look whether the sale is closed.
    HoldWhenClosed,
    /// A sale opens whenever it is asked to.
    OpenEarly,
    /// apply takes any version of the sale.
    SaleOfAnyVersion,
}

impl Variant {
    /// Every variant that lacks something.
    pub const BROKEN: [Self; 17] = [
        Self::NoSeatsCap,
        Self::ClaimsNotCounted,
        Self::NoHoldsCap,
        Self::EndNotCounted,
        Self::ClaimsCountedTwice,
        Self::LoadAddsCounts,
        Self::NoCoolDown,
        Self::LapsesForgotten,
        Self::ReleaseByAnybody,
        Self::ExtendByAnybody,
        Self::NoExtensionsCap,
        Self::NoLifetime,
        Self::UsedPastEnd,
        Self::HoldBeforeOpening,
        Self::HoldWhenClosed,
        Self::OpenEarly,
        Self::SaleOfAnyVersion,
    ];

    /// The property that it violates first; `None` for the design.
    pub const fn violates(self) -> Option<&'static str> {
        Some(match self {
            Self::Design => return None,
            Self::NoSeatsCap | Self::ClaimsNotCounted => super::SEATS_CAP,
            Self::NoHoldsCap => super::HOLDS_CAP,
            Self::EndNotCounted | Self::ClaimsCountedTwice | Self::LoadAddsCounts => super::COUNTS,
            Self::NoCoolDown | Self::LapsesForgotten => super::COOLS_DOWN,
            Self::ReleaseByAnybody | Self::ExtendByAnybody => super::OWNER,
            Self::NoExtensionsCap | Self::NoLifetime => super::LIVES,
            Self::UsedPastEnd => super::ENDED,
            Self::HoldBeforeOpening | Self::HoldWhenClosed => super::ON_SALE,
            Self::OpenEarly | Self::SaleOfAnyVersion => super::SALE_FOLLOWS,
        })
    }
}
