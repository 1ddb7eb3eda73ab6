//! A line being written, by stores of a fixed width: a short text costs one or two moves and no call.
//!
//! The buffer is kept longer than what was written; whatever a store leaves behind its text is written over by the next,
//! or cut off at the end.

/// Bytes of a store of literal text.
pub(super) const WIDTH: usize = 32;

/// How much the buffer grows at least.
const STEP: usize = 1_024;

/// A line and how far it is written.
#[derive(Debug, Default)]
pub(crate) struct Line {
    buffer: Vec<u8>,
    end: usize,
}

impl Line {
    /// An empty line in a buffer, whatever that held.
    pub(crate) fn over(buffer: Vec<u8>) -> Self {
        Self { buffer, end: 0 }
    }

    /// What was written.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.buffer.truncate(self.end);
        self.buffer
    }

    /// How many bytes were written.
    pub(crate) fn len(&self) -> usize {
        self.end
    }

    /// What was written, to be changed.
    pub(crate) fn written(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.end]
    }

    /// Forgets everything from byte `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.end = self.end.min(len);
    }

    /// The next `N` bytes of the buffer, which has to grow for them.
    #[cold]
    fn grow<const N: usize>(&mut self) -> &mut [u8; N] {
        self.buffer.resize(self.end + N + STEP, 0);
        self.buffer[self.end..].first_chunk_mut().expect("the buffer has grown")
    }

    /// Appends the first `len` bytes of `bytes`.
    #[inline]
    pub(super) fn store<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        self.fill(len, |room| *room = *bytes);
    }

    /// Appends `len` bytes, which `write` puts at the beginning of the `N` that it is given.
    #[inline]
    pub(super) fn fill<const N: usize>(&mut self, len: usize, write: impl FnOnce(&mut [u8; N])) {
        match self.buffer.get_mut(self.end..self.end + N).and_then(|room| room.try_into().ok()) {
            Some(room) => write(room),
            None => write(self.grow()),
        }
        self.end += len;
    }

    /// Appends a byte.
    #[inline]
    pub(crate) fn push(&mut self, byte: u8) {
        self.store(&[byte], 1);
    }

    /// Appends bytes.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        match bytes.len() {
            8..16 => self.ends::<8, 16>(bytes),
            4..8 => self.ends::<4, 8>(bytes),
            16..32 => self.ends::<16, 32>(bytes),
            32..64 => self.ends::<32, 64>(bytes),
            1..4 => self.store(&[bytes[0], bytes[bytes.len() / 2], bytes[bytes.len() - 1]], bytes.len()),
            0 => {}
            _ => self.long(bytes),
        }
    }

    /// Appends `N` bytes or more, and fewer than `ROOM = 2 * N`: the first `N` and the last, which may overlap.
    #[inline]
    fn ends<const N: usize, const ROOM: usize>(&mut self, bytes: &[u8]) {
        let (Some(first), Some(last)) = (bytes.first_chunk::<N>(), bytes.last_chunk::<N>()) else { return };
        self.fill::<ROOM>(bytes.len(), |room| {
            room[..N].copy_from_slice(first);
            room[bytes.len() - N..bytes.len()].copy_from_slice(last);
        });
    }

    fn long(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        if self.buffer.len() < end {
            self.buffer.resize(end + STEP, 0);
        }
        self.buffer[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }
}

/// Literal text: short text in one store, long text copied.
#[derive(Debug, Clone)]
pub(crate) struct Literal {
    len: usize,
    /// The beginning, with zeros behind it.
    head: [u8; WIDTH],
    whole: Box<[u8]>,
}

impl Literal {
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut head = [0; WIDTH];
        let len = text.len().min(WIDTH);
        head[..len].copy_from_slice(&text[..len]);
        Self { len: text.len(), head, whole: text.into() }
    }

    /// Appends it.
    #[inline]
    pub(crate) fn write(&self, line: &mut Line) {
        if self.len <= WIDTH { line.store(&self.head, self.len) } else { line.put(&self.whole) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_stand_one_after_another() {
        let all: Vec<u8> = (0..200u8).map(|i| b'a' + i % 26).collect();
        let (mut line, mut want) = (Line::over(vec![b'!'; 7]), Vec::new());
        for len in (0..all.len()).chain([0, 1, 15, 16, 31, 32, 33, 64, 65]) {
            line.put(&all[..len]);
            Literal::new(&all[..len]).write(&mut line);
            line.push(b'|');
            want.extend([&all[..len], &all[..len], b"|"].concat());
        }
        assert_eq!(line.len(), want.len());
        assert_eq!(line.finish(), want);
    }

    #[test]
    fn a_cut_line_goes_on_where_it_was_cut() {
        let mut line = Line::default();
        line.put(b"one two three");
        line.truncate(4);
        line.put(b"four");
        line.written()[0] = b'O';
        assert_eq!(line.finish(), b"One four");
        assert!(Line::over(b"old".to_vec()).finish().is_empty());
    }
}
