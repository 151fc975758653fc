//! The providers that are configured. New orders go to the first; rows of earlier ones are worked on by their own.

use std::sync::Arc;

use super::PaymentProvider;

/// One or more providers, each with a name of its own.
#[derive(Clone)]
pub struct Providers(Arc<[Arc<dyn PaymentProvider>]>, Arc<dyn PaymentProvider>);

impl Providers {
    /// `first` takes new orders.
    #[must_use]
    pub fn new(first: Arc<dyn PaymentProvider>, others: Vec<Arc<dyn PaymentProvider>>) -> Self {
        Self(std::iter::once(Arc::clone(&first)).chain(others).collect(), first)
    }

    /// The one that takes new orders.
    #[must_use]
    pub fn for_new_orders(&self) -> &dyn PaymentProvider {
        &*self.1
    }

    /// The provider that a row names; `None` when it is not configured (any more).
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&dyn PaymentProvider> {
        self.0.iter().find(|provider| provider.name() == name).map(|provider| &**provider)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn PaymentProvider>> {
        self.0.iter()
    }

    /// Their names, for queries: rows of others wait.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.iter().map(|provider| provider.name().to_owned()).collect()
    }
}

impl<P: PaymentProvider> From<Arc<P>> for Providers {
    fn from(only: Arc<P>) -> Self {
        Self::new(only, Vec::new())
    }
}
