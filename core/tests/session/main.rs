//! The session as its users see it: two wormholes and a server in memory, and one alone against those who misbehave.

#[cfg(test)]
mod faults;
#[cfg(test)]
mod network;
#[cfg(test)]
mod pairs;
#[cfg(test)]
mod permission;
#[cfg(test)]
#[cfg(feature = "serde")]
mod snapshots;
#[cfg(test)]
mod transcribe;
#[cfg(test)]
mod waits;
