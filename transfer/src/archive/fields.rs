//! The fields of a zip record, read one after the other.

use crate::error::BadArchive;

/// What is left of a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn u16(&mut self) -> Result<u16, BadArchive> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BadArchive> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BadArchive> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), BadArchive> {
        self.slice(count).map(drop)
    }

    pub(crate) fn slice(&mut self, count: usize) -> Result<&'a [u8], BadArchive> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadArchive> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// The content of the extra field with this number.
pub(crate) fn extra(mut fields: Fields<'_>, wanted: u16) -> Option<Fields<'_>> {
    loop {
        let (number, len) = (fields.u16().ok()?, fields.u16().ok()?);
        let content = fields.slice(len.into()).ok()?;
        if number == wanted {
            return Some(Fields(content));
        }
    }
}

const SHORT: BadArchive = BadArchive::Malformed("a record is too short");
