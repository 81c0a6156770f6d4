//! Zip archives, the form in which directories travel.
//!
//! Ours are written as they leave: entries are stored, so the size of the whole is known before the first byte. They
//! are also unpacked as they arrive, which a zip file in general does not allow: its list of contents comes last, and
//! what the entries say of themselves need not be true. Ours say the truth (see [`layout::MARK`]), and that is checked
//! against the list. Any other archive waits in a temporary file until it is complete.

mod fields;
pub(crate) mod layout;
pub(crate) mod spool;
pub(crate) mod tree;
pub(crate) mod unpack;
pub(crate) mod write;

#[cfg(test)]
mod tests;
