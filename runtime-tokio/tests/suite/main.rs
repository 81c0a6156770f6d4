//! The runtime on tokio, over loopback.
#![cfg(test)]

mod conversation;
#[path = "../../../runtime/tests/suite/double.rs"]
mod double;
mod loopback;
mod tls;

use std::future::Future;
use std::time::Duration;

/// No test waits for longer than this.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes too long")
}
