//! Who has an account.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde_json::{Value, json};

use crate::id::Id;

/// A user: a bot or a person.
#[derive(Clone)]
pub struct User {
    pub id: Id,
    pub name: String,
    pub display: String,
    pub bot: bool,
    /// Empty: he cannot log in himself.
    pub token: String,
    /// 0 for who has one of the names that are unique.
    pub discriminator: u16,
    /// Whether he has two-factor authentication.
    pub mfa: bool,
    /// Whether he is in as many guilds as one can be.
    pub guilds_full: bool,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl User {
    /// A person who cannot log in.
    pub fn person(id: Id, name: String, display: String) -> Self {
        Self {
            id,
            name,
            display,
            bot: false,
            token: String::new(),
            discriminator: 0,
            mfa: false,
            guilds_full: false,
        }
    }

    pub fn json(&self) -> Value {
        let discriminator = match self.discriminator {
            0 => "0".to_owned(),
            number => format!("{number:04}"),
        };
        json!({
            "id": self.id,
            "username": self.name,
            "discriminator": discriminator,
            "global_name": if self.bot { None } else { Some(&self.display) },
            "avatar": null,
            "avatar_decoration_data": null,
            "banner": null,
            "accent_color": null,
            "bot": self.bot,
            "system": false,
            "public_flags": 0,
            "flags": 0,
        })
    }

    /// What `/users/@me` and READY show to the user himself.
    pub fn own_json(&self) -> Value {
        let mut user = self.json();
        user["mfa_enabled"] = json!(self.mfa);
        user["verified"] = json!(true);
        user["locale"] = json!("en-US");
        user["email"] = Value::Null;
        user
    }
}

/// All users, who are found by id, name or token.
#[derive(Clone, Default)]
pub struct Users {
    by_id: BTreeMap<Id, User>,
    by_name: HashMap<String, Id>,
    by_token: HashMap<String, Id>,
    /// How many people were made by number.
    numbered: usize,
}

impl Users {
    /// Adds one, whose id and name nobody else has.
    pub fn add(&mut self, user: User) {
        self.by_name.insert(user.name.clone(), user.id);
        if !user.token.is_empty() {
            self.by_token.insert(user.token.clone(), user.id);
        }
        self.by_id.insert(user.id, user);
    }

    pub fn get(&self, id: Id) -> Option<&User> {
        self.by_id.get(&id)
    }

    pub fn named(&self, name: &str) -> Option<&User> {
        self.get(*self.by_name.get(name)?)
    }

    pub fn with_token(&self, token: &str) -> Option<&User> {
        self.get(*self.by_token.get(token)?)
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_id.values()
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The number of the next person that is made by number: 1, 2 and so on.
    pub fn next_number(&mut self) -> usize {
        self.numbered += 1;
        self.numbered
    }

    /// Those users are again as they were before. Whoever has taken one of their names is called by his id.
    pub fn restore(&mut self, before: &Self) {
        for user in before.iter() {
            if let Some(now) = self.by_id.remove(&user.id) {
                self.by_name.remove(&now.name);
            }
        }
        for user in before.iter() {
            let taker = self.named(&user.name).map(|taker| taker.id);
            self.add(user.clone());
            if let Some(taker) = taker.and_then(|taker| self.by_id.get_mut(&taker)) {
                taker.name = taker.id.to_string();
                self.by_name.insert(taker.name.clone(), taker.id);
            }
        }
    }

    /// Changes one. `false`: there is none with this id, or another has his new name.
    pub fn change(&mut self, id: Id, change: impl FnOnce(&mut User)) -> bool {
        let Some(before) = self.by_id.get(&id) else {
            return false;
        };
        let mut user = before.clone();
        change(&mut user);
        if user.name != before.name {
            if self.by_name.contains_key(&user.name) {
                return false;
            }
            self.by_name.remove(&before.name);
            self.by_name.insert(user.name.clone(), id);
        }
        self.by_id.insert(id, user);
        true
    }
}

impl FromIterator<User> for Users {
    fn from_iter<T: IntoIterator<Item = User>>(users: T) -> Self {
        let mut all = Self::default();
        for user in users {
            all.add(user);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn person(id: u64, name: &str) -> User {
        User::person(Id(id), name.to_owned(), name.to_owned())
    }

    #[test]
    fn users_are_restored_though_others_have_their_names() {
        let first: Users = [person(1, "alice"), person(2, "bob")].into_iter().collect();
        let mut users = first.clone();
        // The two have each other's names, and then the one is free for somebody else.
        for (id, name) in [(1, "x"), (2, "alice"), (1, "bob"), (2, "y")] {
            assert!(users.change(Id(id), |user| user.name = name.to_owned()));
        }
        users.add(person(3, "alice"));
        users.restore(&first);
        for (id, name) in [(1, "alice"), (2, "bob"), (3, "3")] {
            assert_eq!(users.get(Id(id)).unwrap().name, name);
            assert_eq!(users.named(name).unwrap().id, Id(id));
        }
        assert!(users.named("x").is_none() && users.named("y").is_none());
    }
}
