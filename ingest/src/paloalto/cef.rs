//! The header of CEF: `CEF:0|vendor|product|version|signature|name|severity|extension`.

use crate::decode::scan;

/// What stands before the extension, and the extension.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) product: &'a str,
    pub(super) version: &'a str,
    pub(super) signature: &'a str,
    pub(super) name: &'a str,
    /// Empty where a guide leaves it out.
    pub(super) severity: &'a str,
    pub(super) extension: &'a str,
}

/// Divides an event of the vendor's, from `CEF:` on.
pub(super) fn header(event: &str) -> Option<Header<'_>> {
    let (_, rest) = field(event)?;
    let (vendor, rest) = field(rest)?;
    let (product, rest) = field(rest)?;
    let (version, rest) = field(rest)?;
    let (signature, rest) = field(rest)?;
    let (name, rest) = field(rest)?;
    // The guide for GLOBALPROTECT has no severity: what follows is a pair then.
    let (severity, extension) = field(rest).filter(|(text, _)| !text.contains('=')).unwrap_or(("", rest));
    vendor.eq_ignore_ascii_case(super::PRODUCT.vendor).then_some(Header {
        product,
        version,
        signature,
        name,
        severity,
        extension,
    })
}

/// The text before the next bar that is not escaped, and after it.
fn field(text: &str) -> Option<(&str, &str)> {
    let (bytes, mut from) = (text.as_bytes(), 0);
    loop {
        let bar = scan::find(bytes, from, (b'|', b'|'))?;
        if !bytes[..bar].ends_with(b"\\") {
            return Some((&text[..bar], &text[bar + 1..]));
        }
        from = bar + 1;
    }
}
