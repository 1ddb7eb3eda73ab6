use std::collections::BTreeMap;

use super::*;

fn strides(count: u64) -> impl Iterator<Item = Stride> {
    (0..count).map(|turn| ordinary(turn, &mut Draw::at(3, 1, turn)))
}

#[test]
fn logins_are_authentication_and_everything_else_is_about_the_tunnel() {
    for step in &STEPS {
        let is_login = step.stage == "login";
        assert_eq!(step.table, if is_login { Table::Authentication } else { Table::TunnelActivity }, "{}", step.event);
    }
    assert_eq!(
        [PORTAL, GATEWAY, CONNECTED, LOGOUT].map(|s| STEPS[s].event),
        ["portal-auth", "gateway-auth", "gateway-connected", "gateway-logout"]
    );
}

#[test]
fn everybody_comes_from_one_address_in_one_country() {
    let mut homes: BTreeMap<UserName, IpAddr> = BTreeMap::new();
    for stride in strides(50_000) {
        let home = homes.entry(stride.user).or_insert(stride.source);
        assert_eq!(*home, stride.source, "{}", stride.user);
    }
    assert!(homes.len() > 7_000, "{}", homes.len());
}

#[test]
fn passwords_are_mistyped_now_and_then_and_by_everybody_in_turn() {
    let mut failures: BTreeMap<UserName, u32> = BTreeMap::new();
    let mut logins = 0;
    for stride in strides(2_000_000) {
        let is_login = [PORTAL, GATEWAY].contains(&stride.step);
        logins += u32::from(is_login);
        assert!(is_login || !stride.is_failure);
        if stride.is_failure {
            *failures.entry(stride.user).or_default() += 1;
        }
    }
    let total: u32 = failures.values().sum();
    assert!((5..12).contains(&(total * 100 / logins)), "{total} of {logins}");
    let (mean, most) = (total / failures.len() as u32, failures.values().max().copied().unwrap_or(0));
    assert!(most < mean * 6, "{most} of one, {mean} of most");
}
