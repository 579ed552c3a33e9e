//! Misbehaviour on demand: rules that match REST requests, or commands of a gateway.

use std::{collections::BTreeMap, time::Duration};

use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Rules that are kept at most.
const MAX_RULES: usize = 1_000;

/// A rule, as `POST /faults` takes it. It has a `route`, an `opcode` or a `voice_opcode`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// HTTP method; any, when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Path under `/api/v10`. `*` or `{anything}` stands for one segment, `**` at the end for all that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// Opcode of a command on the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    opcode: Option<u64>,
    /// Opcode of a command on the voice gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    voice_opcode: Option<u8>,
    /// How many times it still applies.
    #[serde(default = "once")]
    times: u32,
    /// Answer with this status instead of carrying out the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Headers to add to the answer; `null` removes one.
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    /// Body of the answer: JSON, or a string that is sent as it is with `text/html`.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    /// Wait so long first.
    #[serde(default)]
    delay_ms: u64,
    /// Wait so long with the answer, when the request has been carried out.
    #[serde(default)]
    answer_delay_ms: u64,
    /// End the connection: before the answer, or in the middle of its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    drop: Option<Cut>,
    /// Carry the request out all the same, before the false answer or the cut.
    #[serde(default)]
    apply: bool,
    /// Gateway: close with this code.
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<u16>,
    /// Gateway: act as if the command had not come.
    #[serde(default)]
    ignore: bool,
}

/// What `times` is where it is left out.
pub fn once<T: From<u8>>() -> T {
    T::from(1)
}

/// Where a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// Without an answer.
    BeforeAnswer,
    /// After the head and half of the body. The request is carried out.
    MidAnswer,
}

/// What to do with a REST request.
#[derive(Debug, Clone)]
pub struct RestFault {
    pub delay: Duration,
    pub answer_delay: Duration,
    /// Status and body to answer with.
    pub answer: Option<(StatusCode, Option<Value>)>,
    pub headers: Vec<(HeaderName, Option<HeaderValue>)>,
    pub cut: Option<Cut>,
    /// Whether the request is carried out.
    pub apply: bool,
}

/// What to do with a gateway command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayFault {
    Drop,
    Close(u16),
    Ignore,
    Delay(Duration),
}

/// A rule that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    #[error("a rule needs `route`, `opcode` or `voice_opcode`, and only one of them")]
    Target,
    #[error("`{0}` is not an HTTP method")]
    Method(String),
    #[error("a route begins with `/` and is a path under /api/v10, not `{0}`")]
    Route(String),
    #[error("`{0}` is not an HTTP status")]
    Status(u16),
    #[error("`{0}` is not a header, or its value is none")]
    Header(String),
    #[error("an opcode's rule says `drop: before_answer`, `close`, `ignore` or `delay_ms`")]
    Gateway,
    #[error("there are {MAX_RULES} rules already")]
    TooMany,
}

/// The rules in force. The first that matches applies.
#[derive(Debug, Default)]
pub struct Faults(Vec<Rule>);

impl Faults {
    /// Adds rules: all, or none when one is wrong.
    pub fn add(&mut self, rules: Vec<Rule>) -> Result<(), RuleError> {
        if self.0.len() + rules.len() > MAX_RULES {
            return Err(RuleError::TooMany);
        }
        for rule in &rules {
            rule.check()?;
        }
        self.0.extend(rules);
        Ok(())
    }

    /// Those that still apply.
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault for a request, which uses up one of its rule's times. `path` is under `/api/v10`, without a query.
    pub fn for_request(&mut self, method: &Method, path: &str) -> Option<RestFault> {
        self.take(|rule| rule.matches(method, path))
            .map(|rule| rule.rest_fault())
    }

    /// The fault for a gateway command.
    pub fn for_opcode(&mut self, op: u64) -> Option<GatewayFault> {
        self.take(|rule| rule.opcode == Some(op))
            .and_then(|rule| rule.gateway_fault())
    }

    /// The fault for a command of the voice gateway.
    pub fn for_voice_opcode(&mut self, op: u8) -> Option<GatewayFault> {
        self.take(|rule| rule.voice_opcode == Some(op))
            .and_then(|rule| rule.gateway_fault())
    }

    fn take(&mut self, matches: impl Fn(&Rule) -> bool) -> Option<Rule> {
        let at = self.0.iter().position(matches)?;
        let rule = self.0.get_mut(at)?;
        rule.times = rule.times.saturating_sub(1);
        Some(if rule.times == 0 {
            self.0.remove(at)
        } else {
            rule.clone()
        })
    }
}

impl Rule {
    fn check(&self) -> Result<(), RuleError> {
        if let Some(method) = &self.method {
            method
                .parse::<Method>()
                .map_err(|_| RuleError::Method(method.clone()))?;
        }
        if let Some(status) = self.status {
            StatusCode::from_u16(status).map_err(|_| RuleError::Status(status))?;
        }
        for (name, value) in &self.headers {
            header(name, value.as_deref()).ok_or_else(|| RuleError::Header(name.clone()))?;
        }
        match (&self.route, self.opcode, self.voice_opcode) {
            (Some(route), None, None) if route.starts_with('/') => Ok(()),
            (Some(route), None, None) => Err(RuleError::Route(route.clone())),
            (None, Some(_), None) | (None, None, Some(_)) => {
                self.gateway_fault().map(|_| ()).ok_or(RuleError::Gateway)
            }
            _ => Err(RuleError::Target),
        }
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        let Some(route) = &self.route else {
            return false;
        };
        self.method
            .as_ref()
            .is_none_or(|wanted| wanted == method.as_str())
            && route_matches(route, path)
    }

    fn rest_fault(&self) -> RestFault {
        let answers = self.status.is_some() || self.body.is_some();
        RestFault {
            delay: Duration::from_millis(self.delay_ms),
            answer_delay: Duration::from_millis(self.answer_delay_ms),
            answer: answers.then(|| {
                let status = self
                    .status
                    .and_then(|status| StatusCode::from_u16(status).ok());
                (status.unwrap_or_default(), self.body.clone())
            }),
            headers: self
                .headers
                .iter()
                .filter_map(|(name, value)| header(name, value.as_deref()))
                .collect(),
            cut: self.drop,
            apply: self.apply || !(answers || self.drop == Some(Cut::BeforeAnswer)),
        }
    }

    fn gateway_fault(&self) -> Option<GatewayFault> {
        match (self.drop, self.close, self.ignore, self.delay_ms) {
            (Some(Cut::BeforeAnswer), None, false, 0) => Some(GatewayFault::Drop),
            (None, Some(code), false, 0) => Some(GatewayFault::Close(code)),
            (None, None, true, 0) => Some(GatewayFault::Ignore),
            (None, None, false, delay @ 1..) => {
                Some(GatewayFault::Delay(Duration::from_millis(delay)))
            }
            _ => None,
        }
    }
}

fn header(name: &str, value: Option<&str>) -> Option<(HeaderName, Option<HeaderValue>)> {
    let name = name.parse().ok()?;
    match value {
        Some(value) => Some((name, Some(value.parse().ok()?))),
        None => Some((name, None)),
    }
}

fn route_matches(route: &str, path: &str) -> bool {
    let (mut route, mut path) = (route.split('/'), path.split('/'));
    loop {
        match (route.next(), path.next()) {
            (None, None) => return true,
            (Some("**"), _) => return true,
            (Some(wanted), Some(segment))
                if wanted == segment || wanted == "*" || wanted.starts_with('{') => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_match_by_segment() {
        for route in [
            "/channels/{id}/messages",
            "/channels/*/messages",
            "/channels/1/messages",
            "/channels/**",
            "/**",
        ] {
            assert!(route_matches(route, "/channels/1/messages"), "{route}");
        }
        for route in [
            "/channels/{id}",
            "/channels/2/messages",
            "/channels/{id}/messages/{id}",
            "/guilds/**",
        ] {
            assert!(!route_matches(route, "/channels/1/messages"), "{route}");
        }
    }

    #[test]
    fn a_rule_applies_so_many_times() {
        let mut faults = Faults::default();
        let rules = serde_json::json!([
            {"route": "/gateway", "status": 500, "times": 2},
            {"route": "/gateway", "status": 502},
        ]);
        faults.add(serde_json::from_value(rules).unwrap()).unwrap();
        let mut status = || {
            faults
                .for_request(&Method::GET, "/gateway")
                .and_then(|f| f.answer)
                .map(|(status, _)| status.as_u16())
        };
        assert_eq!(
            [status(), status(), status(), status()],
            [Some(500), Some(500), Some(502), None]
        );
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        for rule in [
            serde_json::json!({"status": 500}),
            serde_json::json!({"route": "gateway"}),
            serde_json::json!({"route": "/gateway", "opcode": 1}),
            serde_json::json!({"route": "/gateway", "status": 99}),
            serde_json::json!({"route": "/gateway", "method": "GET ALL"}),
            serde_json::json!({"route": "/gateway", "headers": {"a b": "c"}}),
            serde_json::json!({"opcode": 1}),
            serde_json::json!({"opcode": 1, "close": 4000, "ignore": true}),
        ] {
            let mut faults = Faults::default();
            let rules = serde_json::from_value(serde_json::json!([rule])).unwrap();
            assert!(faults.add(rules).is_err(), "{rule}");
            assert!(faults.rules().is_empty());
        }
    }
}
