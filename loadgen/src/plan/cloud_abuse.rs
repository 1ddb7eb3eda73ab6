//! Misuse of the cloud's API as chains of calls, a table a scenario.

use std::net::Ipv4Addr;

use super::{Claim, SCENARIOS, Scene, What};
use crate::fleet::{hosts, people};
use crate::record::Wire;
use crate::record::cloud::{Identity, PlannedCall, operation_named};

/// Who calls, and whence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// A user, from an office.
    User,
    /// A user's key, from a place where nobody of the tenant works.
    Abroad,
    /// The account's root, from an office.
    Root,
    /// A role, from an office.
    Role(&'static str),
}

use Caller::{Abroad, Role, Root, User};

/// Calls of one operation: service, operation, who, how many, and whether they are refused.
struct Calls {
    operation: (&'static str, &'static str),
    caller: Caller,
    /// Of an attack, for each unit of intensity.
    times: i64,
    is_denied: bool,
}

const fn calls(service: &'static str, name: &'static str, caller: Caller, times: i64) -> Calls {
    Calls { operation: (service, name), caller, times, is_denied: false }
}

const fn refused(service: &'static str, name: &'static str, caller: Caller, times: i64) -> Calls {
    Calls { is_denied: true, ..calls(service, name, caller, times) }
}

/// A chain of calls in the order in which they are made, and its name.
type Chain = (&'static str, &'static [Calls]);

/// A scenario: the attack, then the near misses, which take turns.
struct Story {
    scenario: &'static str,
    /// True if there are as many calls as the intensity says; otherwise one chain is all.
    is_counted: bool,
    /// Index of the call of the attack with which an alert is due; none if no rule that ships is about it.
    due: Option<usize>,
    attack: Chain,
    near: [Chain; 2],
}

const CI: Caller = Role("ci-deploy");

/// What happens in each scenario.
const STORIES: [Story; 9] = [
    Story {
        scenario: "cloud_root_use",
        is_counted: false,
        due: Some(0),
        attack: ("root changes", &[calls("iam", "DeactivateMFADevice", Root, 1), calls("iam", "CreateUser", Root, 1)]),
        near: [
            ("root looks", &[calls("iam", "ListUsers", Root, 2)]),
            ("administrator", &[calls("iam", "CreateUser", User, 1)]),
        ],
    },
    Story {
        scenario: "cloud_mass_deletion",
        is_counted: true,
        due: Some(10),
        attack: (
            "deletion",
            &[
                calls("ec2", "TerminateInstances", Abroad, 6),
                calls("rds", "DeleteDBInstance", Abroad, 2),
                calls("s3", "DeleteBucket", Abroad, 2),
            ],
        ),
        near: [
            ("ci deploy", &[calls("ec2", "RunInstances", CI, 4), calls("ec2", "TerminateInstances", CI, 4)]),
            ("refused", &[refused("s3", "DeleteBucket", User, 10)]),
        ],
    },
    Story {
        scenario: "cloud_key_elsewhere",
        is_counted: false,
        due: None,
        attack: (
            "key abroad",
            &[
                calls("iam", "CreateAccessKey", Role("admin"), 1),
                calls("sts", "GetCallerIdentity", Abroad, 1),
                calls("s3", "ListBuckets", Abroad, 2),
                calls("iam", "ListUsers", Abroad, 1),
            ],
        ),
        near: [
            ("key at home", &[calls("iam", "CreateAccessKey", Role("admin"), 1), calls("s3", "ListBuckets", User, 2)]),
            ("key refused", &[refused("iam", "CreateAccessKey", User, 1)]),
        ],
    },
    Story {
        scenario: "cloud_privilege_escalation",
        is_counted: false,
        due: Some(0),
        attack: (
            "administrator by policy",
            &[calls("iam", "AttachUserPolicy", User, 1), calls("iam", "UpdateAssumeRolePolicy", User, 1)],
        ),
        near: [
            ("ci deploy", &[calls("iam", "AttachRolePolicy", CI, 2)]),
            ("refused", &[refused("iam", "AttachUserPolicy", User, 3)]),
        ],
    },
    Story {
        scenario: "cloud_public_bucket",
        is_counted: false,
        due: Some(0),
        attack: (
            "open to the world",
            &[calls("s3", "DeleteBucketPublicAccessBlock", User, 1), calls("s3", "PutBucketAcl", User, 1)],
        ),
        near: [
            ("own account", &[calls("s3", "PutBucketPolicy", User, 1)]),
            ("refused", &[refused("s3", "PutBucketAcl", User, 1)]),
        ],
    },
    Story {
        scenario: "cloud_log_tampering",
        is_counted: false,
        due: Some(0),
        attack: (
            "blinded",
            &[
                calls("cloudtrail", "PutEventSelectors", User, 1),
                calls("ec2", "DeleteFlowLogs", User, 1),
                calls("guardduty", "DeleteDetector", User, 1),
            ],
        ),
        near: [
            ("looked only", &[calls("cloudtrail", "DescribeTrails", User, 3)]),
            ("refused", &[refused("ec2", "DeleteFlowLogs", User, 2), refused("guardduty", "DeleteDetector", User, 1)]),
        ],
    },
    Story {
        scenario: "cloud_new_country",
        is_counted: false,
        due: None,
        attack: (
            "administers from abroad",
            &[
                calls("iam", "CreateUser", Abroad, 1),
                calls("ec2", "AuthorizeSecurityGroupIngress", Abroad, 1),
                calls("ec2", "RunInstances", Abroad, 2),
            ],
        ),
        near: [
            ("traveling user", &[calls("s3", "ListBuckets", Abroad, 3)]),
            ("ci deploy", &[calls("ec2", "AuthorizeSecurityGroupIngress", CI, 1), calls("ec2", "RunInstances", CI, 2)]),
        ],
    },
    Story {
        scenario: "cloud_discovery",
        is_counted: true,
        due: Some(15),
        attack: (
            "looks around",
            &[
                refused("iam", "ListUsers", Abroad, 5),
                refused("ec2", "DescribeInstances", Abroad, 5),
                refused("s3", "ListBuckets", Abroad, 5),
            ],
        ),
        near: [
            (
                "auditor",
                &[calls("iam", "ListUsers", Role("readonly"), 5), calls("iam", "GetRole", Role("readonly"), 10)],
            ),
            ("few refusals", &[refused("iam", "ListUsers", User, 3)]),
        ],
    },
    Story {
        scenario: "cloud_secrets",
        is_counted: true,
        due: Some(10),
        attack: ("harvest", &[calls("secretsmanager", "GetSecretValue", Abroad, 10)]),
        near: [
            ("ci deploy", &[calls("secretsmanager", "GetSecretValue", CI, 4)]),
            ("refused", &[refused("secretsmanager", "GetSecretValue", User, 4)]),
        ],
    },
];

/// Chains last at most so long.
const LONGEST_US: i64 = 1_200_000_000;

/// Plans the chain of the scenario, whose calls follow each other.
pub(super) fn plan(scene: &mut Scene<'_>) -> Claim {
    let name = SCENARIOS[scene.scenario].name;
    let story = STORIES.iter().find(|s| s.scenario == name).expect("a story for each scenario planted here");
    let (variant, chain) = match scene.near {
        Some(near) => &story.near[near as usize % 2],
        None => &story.attack,
    };
    let is_counted = story.is_counted && scene.near.is_none();
    let intensity = if is_counted { scene.intensity() } else { 1.0 };
    let times = |calls: &Calls| (calls.times as f64 * intensity).ceil() as i64;
    let total: i64 = chain.iter().map(times).sum();
    let (start_us, length_us) = scene.stretch(LONGEST_US);
    let cast = Cast::new(scene);
    let each = chain.iter().flat_map(|calls| std::iter::repeat_n(calls, times(calls) as usize));
    for (at, calls) in (0i64..).zip(each) {
        cast.call(scene, calls, start_us + length_us * at / total);
    }
    let last = chain.last().map_or(User, |calls| calls.caller);
    let mut key = vec![("src_ip", cast.source(last).to_string())];
    if matches!(last, User | Abroad) {
        key.push(("user_name", cast.user.to_owned()));
    }
    let due_us = story.due.and_then(|at| scene.planted.get(at)).map(|call| call.time_us);
    Claim { key, intensity, variant, due_us }
}

/// Who plays in a scene: one person, one new key, one place at home and one abroad.
struct Cast {
    user: &'static str,
    key: u64,
    office: Ipv4Addr,
    abroad: Ipv4Addr,
    device: usize,
}

impl Cast {
    fn new(scene: &mut Scene<'_>) -> Self {
        let place = scene.scenario as u32 * 31 + scene.number;
        Self {
            user: people::nth(place),
            key: scene.draw.bits(),
            office: Ipv4Addr::new(198, 51, 100, 64 + (place % 190) as u8),
            abroad: hosts::far(900 + scene.number % 100),
            device: *scene.draw.pick(&scene.devices),
        }
    }

    fn source(&self, caller: Caller) -> Ipv4Addr {
        if caller == Abroad { self.abroad } else { self.office }
    }

    fn call(&self, scene: &mut Scene<'_>, calls: &Calls, us: i64) {
        let (identity, role) = match calls.caller {
            User | Abroad => (Identity::IamUser, None),
            Root => (Identity::Root, None),
            Role(role) => (Identity::AssumedRole, Some(role)),
        };
        let call = PlannedCall {
            operation: operation_named(calls.operation.0, calls.operation.1),
            is_denied: calls.is_denied,
            identity,
            role,
            key: Some(self.key),
            user: self.user,
            source: self.source(calls.caller),
            time_us: us.div_euclid(1_000_000) * 1_000_000,
        };
        scene.plant(us, 0, self.device, Wire::CloudTrail, What::Call(call));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::cloud::OPERATIONS;

    #[test]
    fn every_story_is_a_scenario_and_every_call_an_operation() {
        for story in &STORIES {
            assert!(
                SCENARIOS.iter().any(|s| s.name == story.scenario && s.rule.is_some() == story.due.is_some()),
                "{}",
                story.scenario
            );
            for (_, chain) in std::iter::once(&story.attack).chain(&story.near) {
                assert!(!chain.is_empty());
                for calls in *chain {
                    operation_named(calls.operation.0, calls.operation.1);
                    assert!(!["StopLogging", "DeleteTrail"].contains(&calls.operation.1), "another rule's business");
                }
            }
        }
    }

    #[test]
    fn what_attackers_change_is_no_part_of_the_background() {
        let ordinary = crate::record::cloud::weighted(Wire::CloudTrail);
        for name in ["TerminateInstances", "DeleteBucket", "AttachUserPolicy", "DeleteFlowLogs", "PutBucketAcl"] {
            let at = OPERATIONS.iter().position(|o| o.name == name).expect("an operation");
            assert!(!ordinary.contains(&(at as u8)), "{name}");
        }
    }
}
