//! The header of LEEF: `LEEF:1.0|vendor|product|version|event id|attributes`, in 2.0 with the attributes' separator before them.

/// What stands before the attributes, and the attributes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) version: &'a str,
    pub(super) event_id: &'a str,
    pub(super) separator: char,
    pub(super) attributes: &'a str,
}

/// Divides an event of the vendor's, from `LEEF:` on. Whatever the header says, attributes with tabs are divided at tabs.
pub(super) fn header(event: &str) -> Option<Header<'_>> {
    let mut fields = event.splitn(6, '|');
    let (leef, vendor, _product) = (fields.next()?, fields.next()?, fields.next()?);
    let (version, event_id, rest) = (fields.next()?, fields.next()?, fields.next()?);
    if !vendor.eq_ignore_ascii_case(super::PRODUCT.vendor) {
        return None;
    }
    let named = rest.split_once('|').filter(|(text, _)| leef.ends_with("2.0") && !text.contains('='));
    // The vendor's guides divide with bars in 1.0 too.
    let (separator, attributes) = named.map_or(('|', rest), |(text, rest)| (separator(text), rest));
    let separator = if attributes.contains('\t') { '\t' } else { separator };
    Some(Header { version, event_id, separator, attributes })
}

/// `^`, or the code of a character: `x7C`, `0x7C`.
fn separator(text: &str) -> char {
    let code = text.trim_start_matches('0').strip_prefix(['x', 'X']);
    let of_code = code.and_then(|hex| u8::from_str_radix(hex, 16).ok()).map(char::from);
    of_code.or(text.chars().next()).unwrap_or('\t')
}
