//! What the chain counts; the pipeline turns it into metrics.

/// What a chain did since it was built; a clone goes on from where it was cloned. Plain sums, per batch, never per row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of event tables seen.
    pub rows: u64,
    /// Addresses looked up: the distinct ones of each batch.
    pub addresses: u64,
    /// Texts in `src_ip` or `dst_ip` that are no address.
    pub not_addresses: u64,
    /// Look-ups of addresses that the cache could not answer.
    pub misses: u64,
    /// Host and user names looked up: the distinct ones of each batch.
    pub names: u64,
}
