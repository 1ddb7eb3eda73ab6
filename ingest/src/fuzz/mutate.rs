//! Good records -> bad ones, by a seed alone.

/// Numbers in a row that look random: SplitMix64.
#[derive(Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if there is none.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % (end.max(1) as u64)) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A case is no longer than this; some are past the limit of a record.
const BYTES_MAX: usize = (1 << 20) + (1 << 16);

/// Numbers at the limits of what reads them.
const NUMBERS: [&str; 25] = [
    "0",
    "-1",
    "-0",
    "00",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "1e400",
    "1.10",
    "0.1e-999",
    "99999999999999999999999999999999999999",
    "253402300799",
    "9214646400000",
    "1795168800.999999999999",
    "-62135596801",
    "NaN",
];

/// What formats separate, quote, open and close with, and what their heads are.
const TOKENS: [&str; 48] = [
    ",",
    "\"",
    "\"\"",
    "'",
    "\\",
    "\\\"",
    "\\u0000",
    "\\ud800",
    "=",
    "==",
    " ",
    "\t",
    "|",
    "^",
    ";",
    ":",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "{}",
    "[]",
    "[{}]",
    "null",
    "<13>",
    "<13>1 - - - - - ",
    "<999>",
    "<",
    ">",
    "Nov 20 10:00:00 ",
    "2026-11-20T10:00:00Z",
    "Feb 29 24:60:61 ",
    "%ASA-6-302013: ",
    "%",
    "CEF:0|",
    "LEEF:2.0|V|P|1|e|x09|",
    "x5E",
    "1,2026/11/20 10:00:00,0011,TRAFFIC,",
    "{\"Records\":[",
    "\"records\":",
    "::",
    "::ffff:192.0.2.1",
    "192.0.2.1",
    "+99:99",
    "\r",
    "\u{feff}",
    "\u{2028}",
];

const INVALID: [&[u8]; 7] = [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\0", b"\x1b"];

/// A seed, or several lines of them, with up to six changes.
pub(super) fn case(rng: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[rng.below(seeds.len())].clone();
    for _ in 0..rng.below(3) {
        bytes.push(b'\n');
        bytes.extend_from_slice(&seeds[rng.below(seeds.len())]);
    }
    for _ in 0..rng.below(7) {
        change(rng, &mut bytes, seeds);
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = rng.below(bytes.len() + 1);
    match rng.below(14) {
        0 => flip(rng, bytes),
        1 => bytes.truncate(at),
        2 => splice(rng, bytes, at, seeds),
        3 => repeat_token(rng, bytes, at),
        4 => long_run(rng, bytes, at),
        5 | 6 => number(rng, bytes, at),
        7 => insert(bytes, at, rng.pick(&INVALID)),
        8 | 9 => insert(bytes, at, rng.pick(&TOKENS).as_bytes()),
        10 => repeat_range(rng, bytes, at),
        11 => remove_range(rng, bytes, at),
        12 => nest(rng, bytes, at),
        _ => end_value(rng, bytes, at),
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.splice(at..at, new.iter().copied());
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    let at = rng.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.below(8);
    }
}

/// The head of one record and the tail of another.
fn splice(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize, seeds: &[Vec<u8>]) {
    let other = &seeds[rng.below(seeds.len())];
    bytes.truncate(at);
    bytes.extend_from_slice(&other[rng.below(other.len() + 1)..]);
}

fn repeat_token(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let times = rng.pick(&[2, 3, 64, 65, 200, 5_000]);
    insert(bytes, at, &rng.pick(&TOKENS).as_bytes().repeat(times));
}

/// The same byte again and again; now and then past the limit of a string, or of a record.
fn long_run(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let len = rng.pick(&[9, 64, 65, 255, 256, 513, 4_097, 4_097, 40_000]);
    let len = if rng.below(200) == 0 { rng.pick(&[(256 << 10) + 1, 1 << 20]) } else { len };
    let byte = rng.pick(b"x0 ,\"\\[{=|a:<.-");
    insert(bytes, at, &vec![byte; len]);
}

/// Another number in the place of the next one.
fn number(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let start = bytes[at..].iter().position(u8::is_ascii_digit).map_or(at, |n| at + n);
    let end = start + bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    bytes.splice(start..end, rng.pick(&NUMBERS).bytes());
}

fn range(rng: &mut Rng, bytes: &[u8], at: usize) -> std::ops::Range<usize> {
    at..at + rng.below((bytes.len() - at).min(400) + 1)
}

fn repeat_range(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let range = range(rng, bytes, at);
    let times = rng.pick(&[1, 1, 2, 30]);
    let again = bytes[range].repeat(times);
    insert(bytes, at, &again);
}

fn remove_range(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let range = range(rng, bytes, at);
    bytes.drain(range);
}

/// Objects and arrays within each other in the place of what follows.
fn nest(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let (open, close) = rng.pick(&[("[", "]"), ("{\"a\":", "}"), ("{\"records\":[", "]}"), ("(", ")")]);
    let depth = rng.pick(&[1, 2, 7, 8, 9, 63, 64, 65, 3_000]);
    insert(bytes, at, [open.repeat(depth), close.repeat(depth)].concat().as_bytes());
}

/// What is left of the value at hand goes: a field is empty or ends early.
fn end_value(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let mark = rng.pick(b",|\" =\t");
    let end = bytes[at..].iter().position(|b| *b == mark).map_or(at, |n| at + n);
    bytes.drain(at..end);
}

#[test]
fn a_seed_gives_one_case() {
    let seeds = [b"a=1 b=2".to_vec(), b"{\"a\":[1,2]}".to_vec()];
    let cases: Vec<Vec<u8>> = (0..300).map(|seed| case(&mut Rng::new(seed), &seeds)).collect();
    assert!((0..).zip(&cases).all(|(seed, bytes)| case(&mut Rng::new(seed), &seeds) == *bytes));
    let distinct: std::collections::HashSet<&Vec<u8>> = cases.iter().collect();
    assert!(distinct.len() > 200 && cases.iter().all(|bytes| bytes.len() <= BYTES_MAX), "{}", distinct.len());
}
