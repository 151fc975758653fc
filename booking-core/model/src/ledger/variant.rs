//! The design, and what it would be without one of its guards or rules.

use super::properties as p;

/// One guard or rule taken out; [`Variant::Design`] has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    Design,
    /// "all or nothing": hold takes the free ones of the wanted seats.
    HoldTakesWhatIsFree,
    /// hold looks at locks only, not at what the ledger says of the seat.
    HoldIgnoresLedger,
    /// begin_book does not change the phase: the hold ends as any other.
    NoPayingPhase,
    /// COMMIT is sent however long begin_book is ago: the paying hold may be over by then.
    NoCommitWindow,
    /// end_book makes the hold free again although another attempt is open.
    EndBookTakesAll,
    /// The claim does not look whether the locked seats are available.
    ClaimUnchecked,
    /// The claim takes those of its seats that are available: row counts are not compared.
    ClaimPartly,
    /// "the statement that locks comes first, the one that looks second", the other way round.
    LookBeforeLock,
    /// Expiry does not look at the booking's state under its lock.
    ExpireAnyState,
    /// Settlement does not look whether the payment has an outcome.
    SettleTwice,
    /// A rescue does not look whether the seats are available.
    RescueUnchecked,
    /// A rescue places no hold for the payer first.
    RescueWithoutHold,
    /// A settlement that another worker was faster with gives the payer's hold up.
    SkippedGivesUp,
    /// Changes are applied once, directly; there is no outbox.
    NoOutbox,
    /// The relay marks a row before it is applied.
    MarkFirst,
    /// Scripts do not compare the run id.
    NoRunId,
    /// apply writes any version over any other.
    NoVersion,
    /// The loader's rows replace what is known, whatever its version.
    LoadReplaces,
    /// apply drops the booking's own hold only with news.
    OwnHoldOnlyWithNews,
    /// apply leaves other holds on seats that are gone.
    OthersStay,
    /// The loader's SELECT does not bring the holds of bookings along.
    RowsWithoutHolds,
    /// The generation is counted up without comparing what it was.
    NoCompareAndSet,
    /// load accepts a generation that is not higher.
    LoadAcceptsAny,
    /// load is sent again when its outcome is unknown.
    LoadSentAgain,
    /// The rows are read before load.
    ReadBeforeLoad,
    /// The rows' generation is not compared with the loader's.
    RowsOfAnyGeneration,
    /// There is no complete flag: a loaded map is served.
    NoComplete,
    /// A map that stays partial is never taken over.
    NoTakeover,
}

impl Variant {
    /// Every variant that lacks something.
    pub const BROKEN: [Self; 28] = [
        Self::HoldTakesWhatIsFree,
        Self::HoldIgnoresLedger,
        Self::NoPayingPhase,
        Self::NoCommitWindow,
        Self::EndBookTakesAll,
        Self::ClaimUnchecked,
        Self::ClaimPartly,
        Self::LookBeforeLock,
        Self::ExpireAnyState,
        Self::SettleTwice,
        Self::RescueUnchecked,
        Self::RescueWithoutHold,
        Self::SkippedGivesUp,
        Self::NoOutbox,
        Self::MarkFirst,
        Self::NoRunId,
        Self::NoVersion,
        Self::LoadReplaces,
        Self::OwnHoldOnlyWithNews,
        Self::OthersStay,
        Self::RowsWithoutHolds,
        Self::NoCompareAndSet,
        Self::LoadAcceptsAny,
        Self::LoadSentAgain,
        Self::ReadBeforeLoad,
        Self::RowsOfAnyGeneration,
        Self::NoComplete,
        Self::NoTakeover,
    ];

    /// The property that it violates first; `None` for the design.
    pub const fn violates(self) -> Option<&'static str> {
        Some(match self {
            Self::Design => return None,
            Self::HoldTakesWhatIsFree => p::WHOLE_HOLDS,
            Self::HoldIgnoresLedger | Self::OthersStay => p::NO_HOLD_ON_SOLD,
            Self::ClaimUnchecked | Self::ClaimPartly | Self::LookBeforeLock | Self::RescueUnchecked => p::ONE_OWNER,
            Self::ExpireAnyState | Self::SettleTwice => p::MONEY,
            Self::NoPayingPhase
            | Self::NoCommitWindow
            | Self::EndBookTakesAll
            | Self::RescueWithoutHold
            | Self::SkippedGivesUp => p::HOLD_COUNTS,
            Self::NoOutbox
            | Self::MarkFirst
            | Self::NoRunId
            | Self::NoVersion
            | Self::LoadReplaces
            | Self::ReadBeforeLoad
            | Self::NoTakeover => p::RIGHT_AT_REST,
            Self::OwnHoldOnlyWithNews => p::OWN_HOLD_GONE,
            Self::RowsWithoutHolds => p::NOT_TOLD_LOST,
            Self::NoCompareAndSet | Self::LoadAcceptsAny | Self::LoadSentAgain => p::GENERATIONS,
            Self::RowsOfAnyGeneration => p::NOT_DEAD,
            Self::NoComplete => p::KNOWS_ALL,
        })
    }
}
