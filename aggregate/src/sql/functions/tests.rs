//! Each function by what it gives, and all of them as rules call them.

use arrow::array::{Array, AsArray};
use arrow::datatypes::Float64Type;
use datafusion::prelude::{SessionConfig, SessionContext};

use super::*;
use crate::sql::plan::plan;
use crate::tests::rule;

/// What an engine with these functions makes of an expression.
async fn value(expression: &str) -> ArrayRef {
    let session = SessionContext::new_with_config(SessionConfig::new());
    crate::register_functions(&session);
    let rows = session.sql(&format!("SELECT {expression}")).await.expect(expression);
    rows.collect().await.expect(expression)[0].column(0).clone()
}

async fn number(expression: &str) -> Option<f64> {
    let value = value(expression).await;
    let value = value.as_primitive::<Float64Type>();
    value.is_valid(0).then(|| value.value(0))
}

async fn text(expression: &str) -> Option<String> {
    let value = value(expression).await;
    let value = value.as_string::<i32>();
    value.is_valid(0).then(|| value.value(0).to_owned())
}

#[tokio::test]
async fn entropy_is_bits_a_character() {
    for (of, want) in [
        ("''", Some(0.0)),
        ("'aaaa'", Some(0.0)),
        ("'abab'", Some(1.0)),
        ("'abcdefgh'", Some(3.0)),
        ("'äöäö'", Some(1.0)),
        ("CAST(NULL AS VARCHAR)", None),
    ] {
        assert_eq!(number(&format!("entropy({of})")).await, want, "{of}");
    }
}

#[tokio::test]
async fn values_of_json_are_found_by_their_path() {
    let json = r#"'{"a":{"b":[{"c":1},{"c":"x y"}]},"a.d":true,"n":null,"o":{"p":"q"}}'"#;
    for (path, want) in [("a.b.c", Some("1")), ("a.d", Some("true")), ("n", None), ("a.z", None), ("o", None)] {
        assert_eq!(text(&format!("json_value({json}, '{path}')")).await.as_deref(), want, "{path}");
    }
    for (path, wanted, want) in [("a.b.c", "x y", true), ("a.b.c", "x", false), ("a.b", "1", false), ("o", "q", false)]
    {
        let found = value(&format!("json_has({json}, '{path}', '{wanted}')")).await;
        assert_eq!(found.as_boolean().value(0), want, "{path} {wanted}");
    }
    assert_eq!(text("json_value('no json', 'a')").await, None);
    assert_eq!(text("json_value(NULL, 'a')").await, None);
}

#[tokio::test]
async fn distances_are_those_of_the_globe() {
    // Berlin, Paris and Sydney by their coordinates; the poles are half the circumference apart.
    for (a, b, km) in [
        ("52.52,13.405", "48.8566,2.3522", 877.5),
        ("-33.8688,151.2093", "52.52,13.405", 16_094.5),
        ("90,0", "-90,0", 20_015.1),
        ("10,179.5", "10,-179.5", 109.5),
        ("1,1", "1,1", 0.0),
    ] {
        let found = number(&format!("distance_km('{a}', '{b}')")).await.expect("a distance");
        assert!((found - km).abs() < 0.1, "{a} {b}: {found}");
    }
    for none in ["'91,0', '0,0'", "'0,181', '0,0'", "'north', '0,0'", "'0', '0,0'", "NULL, '0,0'", "'NaN,0', '0,0'"] {
        assert_eq!(number(&format!("distance_km({none})")).await, None, "{none}");
    }
}

/// `place_at` of the hour and the place.
fn at(hour: u32, place: &str) -> String {
    format!("place_at(to_timestamp_micros({}), '{place}')", u64::from(hour) * 3_600_000_000)
}

#[tokio::test]
async fn speed_is_that_of_the_fastest_way_that_counts() {
    let (berlin, potsdam, paris) = ("52.52,13.405", "52.39,13.06", "48.8566,2.3522");
    assert_eq!(text(&at(1, berlin)).await.as_deref(), Some("00000003600000000 52.52,13.405"));
    assert_eq!(text(&at(1, "nowhere")).await, None);
    let speed =
        async |places: &[String], km: u32| number(&format!("max_speed_kmh([{}], {km})", places.join(","))).await;
    let way = [at(5, paris), at(1, berlin), at(2, potsdam)];
    let found = speed(&way, 100).await.expect("a way of more than 100 km");
    assert!((280.0..290.0).contains(&found), "from Potsdam in three hours: {found}");
    assert_eq!(speed(&way, 2_000).await, None, "no way is that long");
    assert_eq!(speed(&way[..1], 0).await, None, "one place is no way");
    let at_once = speed(&[at(1, berlin), at(1, paris)], 100).await.expect("a way");
    assert!(at_once > 3_000_000.0, "{at_once}");
    assert_eq!(speed(&["CAST(NULL AS VARCHAR)".to_owned(), "'17 rubbish'".to_owned()], 0).await, None);
}

#[tokio::test]
async fn intervals_of_a_clock_do_not_vary_and_those_of_chance_do() {
    let variation = async |seconds: &[i64]| {
        let times: Vec<String> = seconds.iter().map(|s| format!("to_timestamp_micros({})", s * 1_000_000)).collect();
        number(&format!("interval_variation([{}])", times.join(","))).await
    };
    assert_eq!(variation(&[0, 60, 120, 180]).await, Some(0.0));
    assert_eq!(variation(&[180, 0, 120, 60]).await, Some(0.0), "in any order");
    assert_eq!(variation(&[0, 10, 40]).await, Some(0.5));
    assert!(variation(&[0, 1, 2, 100, 101]).await > Some(1.0));
    for none in [&[0, 10][..], &[5, 5, 5]] {
        assert_eq!(variation(none).await, None, "{none:?}");
    }
}

#[test]
fn rules_call_them_and_a_wrong_argument_has_its_place() {
    let sql = |condition: &str| format!("SELECT user_name FROM api_activity WHERE {condition}");
    rule("", &sql("entropy(user_name) > 3.5 AND json_has(api.request.data, 'a.b', 'c')"));
    rule("", &sql("distance_km(src_coordinates, '52.5,13.4') > 1000"));
    for (condition, want) in [
        ("entropy(user_name, 1) > 3.5", "'entropy' takes 1 arguments, not 2"),
        ("interval_variation(time) > 1", "'interval_variation' takes a list, as array_agg gives"),
    ] {
        let error = plan(&sql(condition), false).expect_err(condition);
        assert!(error.what.contains(want) && error.column > 30, "{error:?}");
    }
}
