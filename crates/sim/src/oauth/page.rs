//! The consent page, and what is shown where nobody can be sent back. It has no script: what it does is done by forms.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::{
    params::Params,
    permissions,
    request::{Install, Request},
};
use crate::{id::Id, page::source};

const STYLE: &str = include_str!("page.css");

/// Nothing runs, and nobody may put it into a frame. The form's answer leads to the application.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; img-src data:; style-src '{}'; form-action http: https:; base-uri 'none'; frame-ancestors 'none'",
        source(STYLE)
    )
});

/// What the consent page shows.
pub struct Consent<'a> {
    pub application: &'a str,
    /// Everybody who can be asked.
    pub people: Vec<&'a str>,
    /// Who is asked, by name and as he is shown.
    pub user: (&'a str, &'a str),
    /// The guilds that the bot can come to.
    pub guilds: Vec<(Id, &'a str)>,
    pub request: &'a Request,
    pub params: &'a Params,
}

impl Consent<'_> {
    pub fn page(&self) -> Response {
        let (name, shown) = self.user;
        let mut body = String::new();
        let initial = |text: &str| escape(text.chars().take(1).collect::<String>().as_str());
        let _ = write!(
            body,
            "<header><span class=avatar>{}</span><span class=avatar>{}</span>\
             <h1>{} wants to access your Discord account</h1><p>Signed in as <b id=user>{}</b></p></header>{}\
             <form id=answer method=post action=\"?{}\">",
            initial(self.application),
            initial(shown),
            escape(self.application),
            escape(name),
            self.switch(),
            escape(&self.params.query_with("as", name)),
        );
        body.push_str("<h2>This will allow the developer to</h2><ul>");
        for told in self.request.scopes.told() {
            let _ = write!(body, "<li>{}</li>", escape(told));
        }
        body.push_str("</ul>");
        let mut can = true;
        if let Some(install) = self.request.install {
            can = self.guild(install, &mut body);
        }
        if let Some(then) = &self.request.then {
            let _ = write!(
                body,
                "<p>Once you authorize, you will be redirected outside of Discord to <b>{}</b></p>",
                escape(&then.uri.origin().ascii_serialization())
            );
        }
        let off = if can { "" } else { " disabled" };
        let _ = write!(
            body,
            "</form><div class=answer><button form=answer name=authorize value=false>Cancel</button>\
             <button form=answer name=authorize value=true{off}>Authorize</button></div>"
        );
        page(
            StatusCode::OK,
            &format!("Authorize {}", self.application),
            "",
            &body,
        )
    }

    /// The guild that the bot comes to, and what it may do there. `false`: there is none.
    fn guild(&self, install: Install, body: &mut String) -> bool {
        let shown: Vec<_> = self
            .guilds
            .iter()
            .filter(|(id, _)| !install.only_there || install.guild == Some(*id))
            .collect();
        body.push_str("<h2>Add to server</h2><select name=guild_id aria-label=Server>");
        for (id, name) in &shown {
            let chosen = if install.guild == Some(*id) {
                " selected"
            } else {
                ""
            };
            let _ = write!(body, "<option value={id}{chosen}>{}</option>", escape(name));
        }
        body.push_str("</select>");
        if shown.is_empty() {
            body.push_str("<p>You have no server there is permission to add it to: this requires Manage Server.</p>");
        }
        let names = permissions::names(install.permissions);
        if !names.is_empty() {
            body.push_str("<h2>With these permissions</h2><ul>");
            for name in names {
                let _ = write!(body, "<li class=dot>{name}</li>");
            }
            body.push_str("</ul>");
        }
        !shown.is_empty()
    }

    /// Lets somebody else be asked.
    fn switch(&self) -> String {
        switch(&self.people, Some(self.user.0), self.params)
    }
}

fn switch(people: &[&str], user: Option<&str>, params: &Params) -> String {
    let mut form = "<form method=get class=who>".to_owned();
    for (name, value) in params.without("as") {
        let _ = write!(
            form,
            "<input type=hidden name=\"{}\" value=\"{}\">",
            escape(name),
            escape(value)
        );
    }
    form.push_str("<label for=as>Not you?</label><select id=as name=as>");
    for name in people {
        let chosen = if user == Some(name) { " selected" } else { "" };
        let name = escape(name);
        let _ = write!(form, "<option value=\"{name}\"{chosen}>{name}</option>");
    }
    form.push_str("</select><button id=switch>Log in</button></form>");
    form
}

/// Discord's login: who is it?
pub fn login(people: &[&str], params: &Params) -> Response {
    let body = format!(
        "<header><h1>Welcome back!</h1><p>Who are you?</p></header>{}",
        switch(people, None, params)
    );
    page(StatusCode::OK, "Log in", "", &body)
}

/// It is done, and nobody is waiting for the user.
pub fn authorized(application: &str, guild: &str) -> Response {
    let body = format!(
        "<header><h1>Authorized</h1><p><b>{}</b> has been authorized and added to <b>{}</b>. You may now close this window.</p></header>",
        escape(application),
        escape(guild)
    );
    page(StatusCode::OK, "Authorized", "", &body)
}

/// It is not done, and nobody is waiting for the user.
pub fn cancelled() -> Response {
    let body = "<header><h1>Cancelled</h1><p>Nothing was authorized. You may now close this window.</p></header>";
    page(StatusCode::OK, "Cancelled", "", body)
}

/// Something is wrong, and the application cannot be told.
pub fn wrong(status: StatusCode, title: &str, why: &str) -> Response {
    let body = format!(
        "<header><h1>{}</h1><p id=why>{}</p></header>",
        escape(title),
        escape(why)
    );
    page(status, title, "wrong", &body)
}

fn page(status: StatusCode, title: &str, class: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n<main class=\"{class}\">{body}</main>\n</body>\n</html>\n",
        escape(title)
    );
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        // The form's POST says where it comes from; the application learns nothing of the query.
        (header::REFERRER_POLICY, "same-origin"),
    ];
    (status, headers, Html(html)).into_response()
}

/// Text within HTML, also within quotes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
