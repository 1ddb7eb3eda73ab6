//! Entries as bytes: a JSON envelope with the protocol version and a checksum of the entry's own text.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// Version of the protocol: of entries, of their paths and of the table properties.
pub const PROTOCOL_VERSION: u32 = 1;

#[derive(Serialize)]
struct Envelope<'a> {
    protocol: u32,
    crc: u32,
    entry: &'a RawValue,
}

/// The version is read before anything else: an envelope of another version may look different.
#[derive(Deserialize)]
struct Version {
    protocol: u32,
}

#[derive(Deserialize)]
struct ReadEnvelope<'a> {
    crc: u32,
    #[serde(borrow)]
    entry: &'a RawValue,
}

/// The entry's object.
pub(crate) fn encode<T: Serialize>(entry: &T) -> Result<Vec<u8>> {
    let invalid = |e: serde_json::Error| Error::InvalidEntry(e.to_string());
    let entry = serde_json::value::to_raw_value(entry).map_err(invalid)?;
    let crc = crc32fast::hash(entry.get().as_bytes());
    serde_json::to_vec(&Envelope { protocol: PROTOCOL_VERSION, crc, entry: &entry }).map_err(invalid)
}

/// The entry in an object.
///
/// # Errors
/// [`Error::UnknownProtocol`], or [`Error::Damaged`] if the bytes are not what [`encode`] made.
pub(crate) fn decode<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T> {
    let damaged = |e: serde_json::Error| Error::damaged(path, e);
    let Version { protocol } = serde_json::from_slice(bytes).map_err(damaged)?;
    if protocol != PROTOCOL_VERSION {
        return Err(Error::UnknownProtocol { path: path.to_owned(), found: protocol, known: PROTOCOL_VERSION });
    }
    let envelope: ReadEnvelope<'_> = serde_json::from_slice(bytes).map_err(damaged)?;
    let crc = crc32fast::hash(envelope.entry.get().as_bytes());
    if crc != envelope.crc {
        return Err(Error::damaged(path, format!("its checksum is {crc:08x}, it was {:08x}", envelope.crc)));
    }
    serde_json::from_str(envelope.entry.get()).map_err(damaged)
}

/// Maps whose keys are structs, as lists of pairs: JSON keys are strings.
pub(crate) mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(crate) fn deserialize<'de, K, V, D>(deserializer: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Bytes as hexadecimal text.
pub(crate) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            None => serializer.serialize_none(),
            Some(bytes) => serializer.serialize_some(&write(bytes)),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|t| read(&t).ok_or_else(|| D::Error::custom("not hexadecimal"))).transpose()
    }

    fn write(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
    }

    fn read(text: &str) -> Option<Vec<u8>> {
        let digit = |c: u8| char::from(c).to_digit(16).map(|d| d as u8);
        if !text.len().is_multiple_of(2) {
            return None;
        }
        text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
    }
}
