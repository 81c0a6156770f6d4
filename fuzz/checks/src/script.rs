//! Bytes read as decisions, so that a fuzzer which changes one byte changes one decision.

/// What is left of the input. At its end every number is 0 and every chunk empty.
#[derive(Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// A script of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `bound`, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()).checked_rem(bound).unwrap_or(0)
    }

    /// The next two bytes as a number.
    pub fn number(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// One of these, or nothing where there is none.
    pub fn pick<'p, T>(&mut self, from: &'p [T]) -> Option<&'p T> {
        from.get(self.below(from.len()))
    }

    /// A length of one byte, and so many bytes.
    pub fn chunk(&mut self) -> &'a [u8] {
        let len = self.byte();
        self.take(len.into())
    }

    /// A length of two bytes, and so many bytes.
    pub fn long_chunk(&mut self) -> &'a [u8] {
        let len = self.number();
        self.take(len.into())
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(self.0.len())
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// The bytes in pieces, none of them empty, whose lengths follow from `cuts` over and over; all at once without any.
pub fn pieces<'a>(mut bytes: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut lens = cuts.iter().cycle().map(|len| usize::from(*len).max(1));
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let len = lens.next().unwrap_or(bytes.len()).min(bytes.len());
        let (piece, rest) = bytes.split_at(len);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}
