//! Integration tests of the test tools: real processes, real sockets.

#[cfg(test)]
mod provider;
