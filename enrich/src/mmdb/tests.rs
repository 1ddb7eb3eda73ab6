use super::*;
use crate::files::Format;

const COUNTRY: &[u8] = include_bytes!("../../../testdata/geo/demo-country.mmdb");
const FLAT_COUNTRY: &[u8] = include_bytes!("../../../testdata/geo/flat-country.mmdb");
const ASN: &[u8] = include_bytes!("../../../testdata/geo/demo-asn.mmdb");
const FLAT_ASN: &[u8] = include_bytes!("../../../testdata/geo/flat-asn.mmdb");

type Load = fn(Vec<Input>, i64) -> Result<Content, EnrichError>;

fn load_with(load: Load, bytes: &[u8]) -> Result<Content, EnrichError> {
    load(vec![Input { name: "test.mmdb".to_owned(), format: Format::Mmdb, bytes: bytes.to_vec() }], 0)
}

/// What each column says of an address, `-` for nothing.
fn say(content: &Content, ip: &str) -> String {
    let lookup = content.addresses.as_ref().expect("a database is of addresses");
    let record = lookup.index.find("", &Address::parse(ip).expect("an address"));
    let value = |column: &Column| {
        let record = usize::try_from(record).ok()?;
        match &*column.values {
            Values::I64(numbers) => Some(numbers[record].to_string()),
            Values::Keywords(words) => {
                usize::try_from(words.ids()[record]).ok().map(|id| words.names()[id].to_string())
            }
            Values::I32(_) | Values::Flags(_) => None,
        }
    };
    let values = lookup.columns.iter().map(|column| value(column).unwrap_or("-".to_owned()));
    values.collect::<Vec<_>>().join(" ")
}

#[test]
fn addresses_have_countries_and_coordinates() {
    let content = load_with(country, COUNTRY).expect("a database");
    for (ip, want) in [
        ("198.18.0.1", "US 38.90,-77.04"),
        ("198.18.1.255", "DE 52.52,13.40"),
        ("198.18.15.0", "MX 19.43,-99.13"),
        ("198.18.16.0", "US 38.90,-77.04"),
        ("198.19.255.255", "MX 19.43,-99.13"),
        ("203.0.113.7", "CN 39.90,116.41"),
        ("192.0.2.200", "RU 55.76,37.62"),
        ("::ffff:192.0.2.200", "RU 55.76,37.62"),
        ("2001:db8:ffff::1", "CH 46.95,7.45"),
        ("2001:db9::1", "- -"),
        ("10.0.0.1", "- -"),
        ("8.8.8.8", "- -"),
    ] {
        assert_eq!(say(&content, ip), want, "{ip}");
    }
    assert_eq!(content.entries, 19);
}

#[test]
fn addresses_have_autonomous_systems() {
    let content = load_with(asn, ASN).expect("a database");
    for (ip, want) in [
        ("198.18.0.1", "64496 Alder Hosting Example"),
        ("198.18.16.1", "64497 Birch Telecom Example"),
        ("203.0.113.7", "64496 Alder Hosting Example"),
        ("2001:db8::1", "64497 Birch Telecom Example"),
        ("10.0.0.1", "- -"),
    ] {
        assert_eq!(say(&content, ip), want, "{ip}");
    }
}

#[test]
fn flat_layouts_and_databases_of_v4_only_are_read() {
    let countries = load_with(country, FLAT_COUNTRY).expect("a database");
    assert_eq!([say(&countries, "203.0.113.1"), say(&countries, "2001:db8::1")], ["CN -", "- -"]);
    let systems = load_with(asn, FLAT_ASN).expect("a database");
    assert_eq!([say(&systems, "203.0.113.1"), say(&systems, "192.0.2.1")], ["64511 Flat Example", "- -"]);
}

#[test]
fn what_is_no_such_database_is_refused_by_name() {
    for (load, bytes, want) in [
        (country as Load, b"ip,name".as_slice(), "test.mmdb is not an MMDB country database: "),
        (country, b"", "test.mmdb is not an MMDB country database: "),
        (country, ASN, "test.mmdb (Palisade-Demo-ASN) holds no country in its records; looked for country.iso_code"),
        (asn, COUNTRY, "test.mmdb (Palisade-Demo-Country) holds no asn in its records; looked for autonomous_system"),
        (asn, &ASN[..ASN.len() / 2], "test.mmdb is not an MMDB asn database: "),
    ] {
        let error = load_with(load, bytes).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.starts_with(want), "{error}\nlacks {want}");
    }
}

/// Any byte may be wrong: the database is refused, or answers something, and loading it ends.
#[test]
fn a_damaged_database_is_no_panic_and_no_endless_walk() {
    for cut in (0..COUNTRY.len()).step_by(31) {
        for mask in [0xff, 0x01] {
            let mut bytes = COUNTRY.to_vec();
            bytes[cut] ^= mask;
            let Ok(content) = load_with(country, &bytes) else { continue };
            for last in 0..64 {
                say(&content, &std::net::Ipv4Addr::from_bits(0xc612_0000 | last << 10).to_string());
            }
        }
    }
}
