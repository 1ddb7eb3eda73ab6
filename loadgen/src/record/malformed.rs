//! Accidents: what a record looks like when a device, a relay or a person breaks it, and what must be said of it.

use dataflow::Reason;

use crate::draw::Draw;

/// A way to break a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// JSON cut in the middle.
    CutJson,
    /// Bytes that are not UTF-8 inside a CSV line.
    BrokenUtf8,
    /// A TRAFFIC line that ends after six columns.
    SixColumns,
    /// `0000/00/00 00:00:00` in every column that could tell the time.
    ZeroTime,
    /// JSON of the year 2300.
    FarFuture,
    /// Nothing.
    Empty,
    /// JSON nested a hundred deep.
    Deep,
}

impl Fault {
    pub(crate) const ALL: [Fault; 7] = [
        Fault::CutJson,
        Fault::BrokenUtf8,
        Fault::SixColumns,
        Fault::ZeroTime,
        Fault::FarFuture,
        Fault::Empty,
        Fault::Deep,
    ];

    pub(crate) fn draw(draw: &mut Draw) -> Self {
        *draw.pick(&Self::ALL)
    }

    /// The reason that its dead letter must bear.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Fault::CutJson => Reason::InvalidJson,
            Fault::BrokenUtf8 => Reason::InvalidUtf8,
            Fault::SixColumns => Reason::MissingField,
            Fault::ZeroTime => Reason::InvalidTime,
            Fault::FarFuture => Reason::TimeOutOfRange,
            Fault::Empty => Reason::Empty,
            Fault::Deep => Reason::TooDeep,
        }
    }
}
