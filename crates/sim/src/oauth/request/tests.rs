#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

struct Portal(Vec<String>);

impl Known for Portal {
    fn is_application(&self, id: Id) -> bool {
        id == Id(7)
    }
    fn redirect_uris(&self) -> &[String] {
        &self.0
    }
}

fn ask(query: &str) -> Result<Request, Refusal> {
    judge(
        &Params::parse(query.as_bytes()),
        &Portal(Vec::new()),
        "http://iss",
    )
}

const CODE: &str = "client_id=7&response_type=code&scope=identify&redirect_uri=http://127.0.0.1:1/cb?a=b&state=s%26t";
/// 43 characters.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn shown_for(query: &str) -> String {
    match ask(query) {
        Err(Refusal::Shown { why, .. }) => why,
        other => panic!("{query}: {other:?}"),
    }
}

/// The query of the redirect.
fn told_for(query: &str) -> Vec<(String, String)> {
    match ask(query) {
        Err(Refusal::Told(url)) => url.query_pairs().into_owned().collect(),
        other => panic!("{query}: {other:?}"),
    }
}

#[test]
fn a_good_request() {
    let asked = ask(&format!(
        "{CODE}&code_challenge={CHALLENGE}&code_challenge_method=S256"
    ))
    .unwrap();
    let then = asked.then.unwrap();
    assert_eq!(then.challenge.as_deref(), Some(CHALLENGE));
    assert_eq!(then.written, "http://127.0.0.1:1/cb?a=b");
    assert_eq!(
        then.with(&[("code", "c")]).as_str(),
        "http://127.0.0.1:1/cb?a=b&code=c&state=s%26t&iss=http%3A%2F%2Fiss"
    );
    assert!(!asked.quietly && asked.install.is_none());
    assert!(ask(&format!("{CODE}&prompt=none")).unwrap().quietly);
}

#[test]
fn who_cannot_be_told_is_shown() {
    assert_eq!(
        shown_for("scope=identify"),
        "client_id: This field is required"
    );
    assert_eq!(
        shown_for("client_id=x"),
        "client_id: Value \"x\" is not snowflake."
    );
    assert_eq!(shown_for("client_id=8"), "Unknown Application");
    assert!(shown_for(&format!("{CODE}&state=2")).starts_with("state: "));
    for uri in [
        "",
        "cb",
        "http://example.com/cb",
        "http://127.0.0.1.example.com/cb",
        "http://localhost@example.com/cb",
        "ftp://127.0.0.1/cb",
        "javascript:alert(1)",
        "http://127.0.0.1/cb%23x",
    ] {
        let query = format!("client_id=7&response_type=code&scope=identify&redirect_uri={uri}");
        assert_eq!(shown_for(&query), "Invalid OAuth2 redirect_uri", "{uri}");
    }
}

#[test]
fn a_redirect_uri_is_registered_as_it_is_written() {
    let portal = Portal(vec![
        "https://uro.example/cb".to_owned(),
        "http://127.0.0.1/x".to_owned(),
    ]);
    let ask = |uri: &str| {
        let query = format!("client_id=7&response_type=code&scope=identify{uri}");
        judge(&Params::parse(query.as_bytes()), &portal, "http://iss")
    };
    for uri in ["", "&redirect_uri=https://uro.example/cb"] {
        assert_eq!(
            ask(uri).unwrap().then.unwrap().written,
            "https://uro.example/cb"
        );
    }
    for uri in [
        "https://uro.example/cb/",
        "https://uro.example/cb?x",
        "http://127.0.0.1/cb",
        "HTTPS://uro.example/cb",
    ] {
        assert!(ask(&format!("&redirect_uri={uri}")).is_err(), "{uri}");
    }
}

#[test]
fn what_is_wrong_is_told_with_the_state() {
    let query = |change: (&str, &str)| CODE.replace(change.0, change.1);
    for (query, error) in [
        (query(("response_type=code&", "")), "invalid_request"),
        (query(("=code", "=token")), "unsupported_response_type"),
        (
            query(("identify", "identify+messages.read")),
            "invalid_scope",
        ),
        (query(("scope=identify&", "")), "invalid_scope"),
        (format!("{CODE}&prompt=login"), "invalid_request"),
        (
            format!("{CODE}&code_challenge={CHALLENGE}"),
            "invalid_request",
        ),
        (
            format!("{CODE}&code_challenge={CHALLENGE}&code_challenge_method=plain"),
            "invalid_request",
        ),
        (
            format!("{CODE}&code_challenge=short&code_challenge_method=S256"),
            "invalid_request",
        ),
        (
            format!("{CODE}&code_challenge_method=S256"),
            "invalid_request",
        ),
    ] {
        let told = told_for(&query);
        assert_eq!(told[0], ("a".to_owned(), "b".to_owned()));
        assert_eq!(told[1], ("error".to_owned(), error.to_owned()), "{query}");
        assert_eq!(told[3], ("state".to_owned(), "s&t".to_owned()));
    }
}

#[test]
fn a_bot_needs_no_callback() {
    let asked = ask("client_id=7&scope=bot+applications.commands&permissions=268435456&guild_id=5&disable_guild_select=true&prompt=none").unwrap();
    let bot = asked.install.unwrap();
    assert_eq!(
        (bot.permissions, bot.guild, bot.only_there),
        (1 << 28, Some(Id(5)), true)
    );
    assert!(asked.then.is_none() && !asked.quietly);
    assert!(shown_for("client_id=7&scope=bot&permissions=x").contains("is not int"));
    assert!(ask("client_id=7&scope=bot&integration_type=0").is_ok());
    for (kind, why) in [
        ("1", "not to users"),
        ("2", "must be one of"),
        ("x", "is not int"),
    ] {
        let query = format!("client_id=7&scope=applications.commands&integration_type={kind}");
        assert!(shown_for(&query).contains(why), "{kind}");
    }
    assert_eq!(
        shown_for("client_id=7&scope=bot+identify"),
        "Invalid OAuth2 redirect_uri"
    );
    let both = CODE.replace("identify", "bot+identify");
    assert!(ask(&both).unwrap().then.is_some());
}
