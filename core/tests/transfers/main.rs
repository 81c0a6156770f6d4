//! Whole transfers in memory: two sides, a mailbox server, a relay and a network, none of them real.

#[cfg(test)]
mod captures;
#[cfg(test)]
mod chance;
#[cfg(test)]
mod net;
#[cfg(test)]
mod odd_messages;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod records;
#[cfg(test)]
mod server;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod waits;
#[cfg(test)]
mod world;
