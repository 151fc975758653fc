//! Whose API this provider speaks: the books are the same, names and shapes on the wire differ.

/// The real provider that is stood in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Shapes {
    /// Orders, payments, refunds; `X-Razorpay-Signature`.
    #[default]
    Razorpay,
    /// PaymentIntents, charges, refunds; `Stripe-Signature`.
    Stripe,
}

impl Shapes {
    /// As in the address of its webhooks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Razorpay => "razorpay",
            Self::Stripe => "stripe",
        }
    }

    pub(crate) fn order_prefix(self) -> &'static str {
        match self {
            Self::Razorpay => "order_",
            Self::Stripe => "pi_",
        }
    }

    pub(crate) fn payment_prefix(self) -> &'static str {
        match self {
            Self::Razorpay => "pay_",
            Self::Stripe => "ch_",
        }
    }

    pub(crate) fn refund_prefix(self) -> &'static str {
        match self {
            Self::Razorpay => "rfnd_",
            Self::Stripe => "re_",
        }
    }
}
