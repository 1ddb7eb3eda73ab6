//! What a stored Parquet file says of itself, read from its last bytes.

use ::parquet::file::metadata::{FooterTail, ParquetMetaDataReader};
use iceberg::ErrorKind;
use iceberg::io::InputFile;

/// Length of the metadata and the magic number: the last bytes of every Parquet file.
const TAIL: u64 = 8;

/// Size of a stored file and rows by its own footer; None if there is no such file.
///
/// # Errors
/// If it cannot be read, or its end is not that of a Parquet file.
pub async fn footer_rows(file: &InputFile) -> iceberg::Result<Option<(u64, u64)>> {
    if !file.exists().await? {
        return Ok(None);
    }
    let size = file.metadata().await?.size;
    let damaged = |what: String| iceberg::Error::new(ErrorKind::DataInvalid, format!("{}: {what}", file.location()));
    if size < TAIL {
        return Err(damaged(format!("{size} bytes are no Parquet file")));
    }
    let reader = file.reader().await?;
    let tail = reader.read(size - TAIL..size).await?;
    let tail: [u8; TAIL as usize] =
        tail.as_ref().try_into().map_err(|_| damaged("its end cannot be read".to_owned()))?;
    let tail = FooterTail::try_from(tail).map_err(|e| damaged(e.to_string()))?;
    let length = tail.metadata_length() as u64;
    let from = (size - TAIL).checked_sub(length).ok_or_else(|| damaged("its metadata is longer than it".to_owned()))?;
    let metadata = reader.read(from..size - TAIL).await?;
    let metadata = ParquetMetaDataReader::decode_metadata(&metadata).map_err(|e| damaged(e.to_string()))?;
    Ok(Some((size, u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use dataflow::Table;
    use iceberg::io::FileIO;

    use super::*;
    use crate::warehouse::tests::{open, partition, prepare};

    #[tokio::test]
    async fn a_file_tells_its_size_and_rows_and_damage_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let warehouse = open(dir.path()).await;
        let entry = prepare(&warehouse, &partition(0), 0..6, &[Table::BaseEvent]).await;
        let file = &entry.tables[&Table::BaseEvent.into()].files[0];
        let read = async || {
            let input = FileIO::new_with_fs().new_input(&file.location).expect("a path");
            footer_rows(&input).await
        };
        assert_eq!(read().await.expect("reads"), Some((file.bytes, file.rows)));
        let bytes = std::fs::read(&file.location).expect("reads");
        for damaged in [&bytes[..bytes.len() - 1], &bytes[..3], &bytes[bytes.len() - 8..]] {
            std::fs::write(&file.location, damaged).expect("writes");
            assert!(read().await.is_err(), "{} bytes", damaged.len());
        }
        std::fs::remove_file(&file.location).expect("removes");
        assert_eq!(read().await.expect("nothing there is no error"), None);
    }
}
