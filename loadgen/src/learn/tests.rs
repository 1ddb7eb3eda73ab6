use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::*;
use crate::fleet::Fleet;
use crate::fleet::tests::small;

/// The lines of a fleet of the formats that are known, in its order.
static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mix = Mix { strata_json: 55, panos_csv: 30, cloudtrail: 15, ..Mix::NONE };
    lines_of(FleetConfig { events: 24_000, attacks: 0, near_misses: 0, mix, ..small() })
});
static LEARNED: LazyLock<Learner> = LazyLock::new(|| learned(&LINES));

fn lines_of(config: FleetConfig) -> Vec<String> {
    let mut out = Vec::new();
    let fleet = Fleet::new(config).expect("a fleet");
    crate::files::write_stream(&fleet, &mut out).expect("memory takes everything");
    out.split(|b| *b == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

fn learned(lines: &[String]) -> Learner {
    let mut learner = Learner::default();
    lines.iter().for_each(|line| learner.line(line));
    learner
}

/// The profile as its file holds it.
fn text(profile: &FleetConfig) -> String {
    serde_json::to_string(profile).expect("a profile is numbers and known names")
}

/// Words of at least four characters.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && !"._-@".contains(c)).filter(|w| w.len() >= 4).collect()
}

/// Everything that a profile may say: names of its own fields, of public applications, actions and protocols.
fn vocabulary() -> String {
    let names = APPS.iter().map(|a| a.name).chain(ACTIONS).chain(PROTOCOLS);
    let fields = text(&FleetConfig { learned: Some(Facts::default()), ..FleetConfig::default() });
    names.map(str::to_owned).chain([fields]).collect::<Vec<_>>().join(" ")
}

/// Words of a profile that it may not say, seeing what it was learned from.
fn kept(profile: &str, input: &str) -> Vec<String> {
    let vocabulary = vocabulary();
    let (known, given) = (words(&vocabulary), words(input));
    // A number as long as an account's or a serial number must not be one of the input.
    let is_number = |word: &str| word.parse::<f64>().is_ok() && (word.len() < 9 || !given.contains(word));
    words(profile).into_iter().filter(|w| !is_number(w) && !known.contains(w)).map(str::to_owned).collect()
}

#[test]
fn a_profile_holds_no_word_of_its_input_but_public_ones() {
    let (profile, input) = (text(&LEARNED.profile()), LINES.join(" "));
    assert_eq!(kept(&profile, &input), Vec::<String>::new());
    // Words of which the input has many are not in it in any spelling; numbers are of the counts.
    for secret in ["a.novak", "203.0.113.", "10.1.16.", "PA-FRA", "ACME", "acme-data-lake", "AKIA", "6a1f0c2e"] {
        assert!(input.contains(secret) && !profile.contains(secret), "{secret}");
    }
    assert!(words(&input).len() > 10_000);
}

#[test]
fn the_check_sees_a_word_that_was_kept() {
    let mut profile = LEARNED.profile();
    profile.traffic.apps.insert("secret-tool".to_owned(), 1);
    let (profile, vocabulary) = (text(&profile), vocabulary());
    assert!(words(&profile).difference(&words(&vocabulary)).any(|w| *w == "secret-tool"));
}

#[test]
fn rare_values_are_left_out() {
    let line = |port: u16| format!("2 123456789012 eni-0a 10.0.0.5 198.51.100.7 40000 {port} 6 3 180 1 60 ACCEPT OK");
    let lines: Vec<String> = (0..9).map(|_| line(443)).chain((0..4).map(|_| line(31_337))).collect();
    let facts = learned(&lines).profile().learned.expect("facts");
    assert_eq!((facts.records, facts.ports), (13, vec![(443, 9)]));
}

#[test]
fn what_is_generated_from_a_profile_is_like_what_it_was_learned_from() {
    let first = LEARNED.profile();
    let second = learned(&lines_of(FleetConfig { seed: 99, ..first.clone() })).profile();
    let near = |a: u64, b: u64, percent: u64| a.abs_diff(b) * 100 <= a.max(b) * percent + 200;
    assert!(near(first.mix.strata_json.into(), second.mix.strata_json.into(), 5), "{:?} {:?}", first.mix, second.mix);
    assert!(near(first.flow_logs_per_million.into(), second.flow_logs_per_million.into(), 20));
    assert!(near(first.vpn_per_mille.into(), second.vpn_per_mille.into(), 20));
    let (a, b) = (&first.traffic, &second.traffic);
    let refused = |t: &Traffic| u64::from(t.refused_per_mille.expect("learned"));
    assert!(near(refused(a), refused(b), 15), "{:?} {:?}", a.refused_per_mille, b.refused_per_mille);
    for part in 1..19 {
        assert!(near(a.sent[part], b.sent[part], 30), "{part}: {:?} {:?}", a.sent, b.sent);
    }
    let (ssl, again) = (u64::from(a.apps["ssl"]), u64::from(b.apps["ssl"]));
    assert!(near(ssl, again, 5));
}

#[test]
fn rates_are_those_of_the_minutes() {
    let line = |minute: i64| {
        let end = 1_767_600_000 + minute * 60;
        format!("2 123456789012 eni-0a 10.0.0.5 198.51.100.7 40000 443 6 3 180 1 {end} ACCEPT OK")
    };
    let lines: Vec<String> = [10, 40, 20].into_iter().zip(0..).flat_map(|(n, m)| vec![line(m); n]).collect();
    let profile = learned(&lines).profile();
    let minutes = &profile.rate.minutes;
    let at = |m: i64| minutes[(1_767_600_000 / 60 + m).rem_euclid(3) as usize];
    assert_eq!((profile.span_us, [at(0), at(1), at(2)]), (180_000_000, [250, 1_000, 500]));
}

#[test]
fn lines_of_every_format_are_known_and_others_are_counted() {
    let (records, unknown) = LEARNED.records();
    // A few are cut off or say nothing.
    assert!(records > 23_900 && (3..60).contains(&unknown), "{records} {unknown}");
    assert_eq!(LEARNED.formats.len(), 4);
    let facts = LEARNED.profile().learned.expect("facts");
    assert!((1_000..60_000).contains(&facts.sources) && (20..=2_500).contains(&facts.devices), "{facts:?}");
    assert!(
        facts.actions.contains_key("allow")
            && facts.protocols.contains_key("tcp")
            && facts.ports.iter().any(|(port, _)| *port == 443)
    );
    let mut odd = Learner::default();
    for line in ["", "hello", "{", "{\"a\":1}", "1,2,3", "2 a b c d e f g h i j k l m", "\u{1f512},,,TRAFFIC"] {
        odd.line(line);
    }
    assert_eq!(odd.records().0, 1, "a line with nothing but a type is one");
    Fleet::new(odd.profile()).expect("a profile of nothing is a fleet too");
}
