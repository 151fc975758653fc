//! Integration tests of the gateway.

mod stream;
