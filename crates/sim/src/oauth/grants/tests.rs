#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use super::*;
use crate::oauth::kept::MOST;

const APP: Id = Id(1);
const USER: Id = Id(2);
const HERE: &str = "http://127.0.0.1/callback";

fn grant(application: Id, user: Id) -> Grant {
    Grant {
        user,
        application,
        scopes: Scopes::parse("identify").unwrap(),
        guild: None,
    }
}

fn with_code(challenge: Option<&str>) -> Grants {
    let mut grants = Grants::default();
    let binding = Binding {
        redirect_uri: HERE.to_owned(),
        challenge: challenge.map(str::to_owned),
    };
    grants.add_code("code", grant(APP, USER), binding, 1_000);
    grants
}

fn error(result: Result<Grant, GrantError>) -> GrantError {
    result.map(|grant| grant.user).unwrap_err()
}

#[test]
fn a_code_is_good_once() {
    let mut grants = with_code(None);
    let redeemed = grants.redeem(APP, "code", HERE, None, 100, 1_050);
    assert_eq!(redeemed.unwrap().user, USER);
    let again = grants.redeem(APP, "code", HERE, None, 100, 1_050);
    assert_eq!(error(again), GrantError::Secret);
}

#[test]
fn a_code_is_good_for_a_while() {
    let late = with_code(None).redeem(APP, "code", HERE, None, 100, 1_100);
    assert_eq!(error(late), GrantError::Secret);
    assert!(
        with_code(None)
            .redeem(APP, "code", HERE, None, 100, 1_099)
            .is_ok()
    );
}

#[test]
fn a_code_is_good_where_it_was_made_for() {
    let mut grants = with_code(None);
    let elsewhere = grants.redeem(Id(9), "code", HERE, None, 100, 1_000);
    assert_eq!(error(elsewhere), GrantError::Secret);
    let redirected = grants.redeem(APP, "code", "http://127.0.0.1/callback/", None, 100, 1_000);
    assert_eq!(error(redirected), GrantError::RedirectUri);
    assert!(grants.redeem(APP, "code", HERE, None, 100, 1_000).is_ok());
}

#[test]
fn a_code_with_a_challenge_needs_its_verifier() {
    // The example of the RFC's appendix B.
    let mut grants = with_code(Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
    let none = grants.redeem(APP, "code", HERE, None, 100, 1_000);
    assert_eq!(error(none), GrantError::NoVerifier);
    let wrong = grants.redeem(APP, "code", HERE, Some("wrong"), 100, 1_000);
    assert_eq!(error(wrong), GrantError::Verifier);
    let right = Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert!(grants.redeem(APP, "code", HERE, right, 100, 1_000).is_ok());
}

#[test]
fn a_refresh_uses_up_both_tokens() {
    let mut grants = Grants::default();
    grants.add_token("a1", Some("r1"), grant(APP, USER), 1_000);
    assert_eq!(grants.access("a1", 100, 1_099).unwrap().expires, 1_100);
    assert!(grants.access("a1", 100, 1_100).is_none(), "too late");
    assert!(grants.access("r1", 100, 1_000).is_none());
    assert_eq!(error(grants.refresh(Id(9), "r1")), GrantError::Secret);
    assert!(grants.refresh(APP, "r1").is_ok());
    assert_eq!(error(grants.refresh(APP, "r1")), GrantError::Secret);
    assert!(grants.access("a1", 100, 1_000).is_none());
}

#[test]
fn either_token_ends_all_of_the_authorization() {
    for token in ["a1", "r2"] {
        let mut grants = with_code(None);
        grants.authorize(&grant(APP, USER), 1_000);
        grants.connections.insert((USER, APP), Value::Null);
        for (access, refresh) in [("a1", "r1"), ("a2", "r2")] {
            grants.add_token(access, Some(refresh), grant(APP, USER), 1_000);
        }
        grants.add_token("a3", Some("r3"), grant(APP, Id(3)), 1_000);
        assert_eq!(grants.iter().next().unwrap().3, 2);
        assert_eq!(grants.revoke_by_token(Id(9), token), None);
        assert_eq!(grants.revoke_by_token(APP, token), Some(USER));
        assert!(grants.authorization(USER, APP).is_none());
        assert!(grants.access("a1", 100, 1_000).is_none());
        assert!(grants.access("a2", 100, 1_000).is_none());
        assert!(grants.connections.is_empty());
        assert!(grants.access("a3", 100, 1_000).is_some(), "somebody else's");
        let code = grants.redeem(APP, "code", HERE, None, 100, 1_000);
        assert_eq!(error(code), GrantError::Secret);
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let mut grants = Grants::default();
    grants.add_token("first", Some("r"), grant(APP, USER), 1_000);
    for number in 0..=MOST {
        grants.add_token(&number.to_string(), None, grant(APP, USER), 1_000);
    }
    let good = |secret: &str| grants.access(secret, 100, 1_000).is_some();
    assert!(!good("0"));
    assert!(good("1") && good(&MOST.to_string()));
    assert!(good("first"), "those that end push out their like only");
    grants.authorize(&grant(APP, USER), 1_000);
    assert_eq!(grants.iter().next().unwrap().3, MOST + 1);
    assert!(grants.revoke(USER, APP));
    assert!(grants.token(Hash::of("first")).is_none());
    assert!(grants.token(Hash::of("1")).is_none());
}

/// How long it takes to link so many users, ask about each, and end it.
fn linking(users: u64) -> Duration {
    let mut grants = Grants::default();
    let began = Instant::now();
    for user in 1..=users {
        let own = grant(APP, Id(user));
        let binding = Binding {
            redirect_uri: HERE.to_owned(),
            challenge: None,
        };
        let (code, access, refresh) = (format!("c{user}"), format!("a{user}"), format!("r{user}"));
        grants.authorize(&own, 1_000);
        grants.add_code(&code, own, binding, 1_000);
        let own = grants.redeem(APP, &code, HERE, None, 100, 1_000).unwrap();
        grants.add_token(&access, Some(&refresh), own, 1_000);
    }
    assert_eq!(
        grants.iter().map(|(.., tokens)| tokens as u64).sum::<u64>(),
        users
    );
    for user in 1..=users {
        let access = grants.access(&format!("a{user}"), 100, 1_000).unwrap();
        assert_eq!(access.user, Id(user));
        grants.expire(Id(user));
        let refreshed = grants.refresh(APP, &format!("r{user}")).unwrap();
        grants.add_token("again", Some("and again"), refreshed, 1_000);
        assert_eq!(grants.revoke_by_token(APP, "again"), Some(Id(user)));
    }
    assert_eq!(grants.iter().count(), 0);
    began.elapsed()
}

#[test]
fn ten_times_as_many_users_cost_ten_times_as_much() {
    // Both take as long, whatever else the machine does meanwhile. With a walk over all for each user the second takes ten times as
    // long.
    let ten_times_few = || -> Duration { (0..10).map(|_| linking(1_000)).sum() };
    let rounds = (0..3).map(|_| (ten_times_few(), linking(10_000)));
    let (few, many): (Vec<Duration>, Vec<Duration>) = rounds.unzip();
    let (few, many) = (few.iter().min().unwrap(), many.iter().min().unwrap());
    assert!(*many < *few * 4, "{few:?} {many:?}");
}
