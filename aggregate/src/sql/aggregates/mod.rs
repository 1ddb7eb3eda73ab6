//! Aggregates of our own, where DataFusion's depend on the order of rows or of merges: the same rows give the same result,
//! however they were split, merged and restored.
//!
//! | function | gives | state a group |
//! | --- | --- | --- |
//! | `array_agg(x)`, `array_agg(DISTINCT x)` | the smallest 1,000 values, rising, without NULLs | those values |
//! | `approx_distinct(x)` | how many values there are: exact up to 4,096, beyond within about 5 % | up to 4,096 hashes |
//! | `approx_percentile_cont(x, p)`, `approx_median(x)` | a value within 1 % of the quantile | a count a bucket, some thousands at most |

mod distinct;
mod list;
mod quantile;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::logical_expr::AggregateUDF;
use datafusion::logical_expr::function::StateFieldsArgs;

/// All of them; each takes the place of DataFusion's function of that name.
pub(crate) fn all() -> Vec<Arc<AggregateUDF>> {
    let own = [
        AggregateUDF::from(list::ArrayAgg::new()),
        AggregateUDF::from(distinct::ApproxDistinct::new()),
        AggregateUDF::from(quantile::Quantile::percentile()),
        AggregateUDF::from(quantile::Quantile::median()),
    ];
    own.into_iter().map(Arc::new).collect()
}

fn list_type(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// A state column that holds a list.
fn list_state(args: &StateFieldsArgs<'_>, name: &str, item: DataType) -> FieldRef {
    Arc::new(Field::new(format!("{}[{name}]", args.name), list_type(item), true))
}

fn list(values: ArrayRef) -> ScalarValue {
    SingleRowListArrayBuilder::new(values).build_list_scalar()
}
