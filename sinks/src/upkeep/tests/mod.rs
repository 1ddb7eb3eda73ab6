mod collect;
mod orphans;
mod plan;

use crate::warehouse::tests::partition;
