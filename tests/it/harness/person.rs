use oubliette::{
    attributes::Change,
    entity::user::{PersonalAttribute, PersonalChanges},
    envelope::{Attribute, Personal},
    users::{NewUser, UserAttribute, UserChanges, Username},
};
use rand::RngExt;

use super::logs;

/// Part of every test's e-mail address, and of nothing else.
pub(crate) const EMAIL_MARK: &str = "@personal-value.example";
/// The beginning of every test's phone number, and of nothing else: Berlin, then digits.
pub(crate) const PHONE_MARK: &str = "+493059";

/// The e-mail address, as an attribute.
pub(crate) const EMAIL: UserAttribute = UserAttribute::Column(PersonalAttribute::Email);
/// The phone number.
pub(crate) const PHONE: UserAttribute = UserAttribute::Column(PersonalAttribute::Phone);

/// Somebody who does not exist, with values that can be found again wherever they leak.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) phone: String,
}

impl Person {
    pub(crate) fn new() -> Self {
        let mut rng = rand::rng();
        let tag: u64 = rng.random();
        let person = Self {
            username: format!("user-{tag:016x}"),
            email: format!("mail-{:016x}{EMAIL_MARK}", rng.random::<u64>()),
            phone: format!("{PHONE_MARK}{:07}", rng.random_range(0..10_000_000)),
        };
        logs::remember_personal_values(&[&person.email, &person.phone]);
        person
    }

    /// As the API makes one of what was typed.
    pub(crate) fn new_user(&self) -> NewUser {
        let personal = PersonalChanges { email: replaced(&self.email), phone: replaced(&self.phone) };
        NewUser { username: Username::parse(&self.username).unwrap(), personal: personal.into() }
    }
}

pub(crate) fn change_of_email(email: &str) -> UserChanges {
    let personal = PersonalChanges { email: replaced(email), ..PersonalChanges::default() };
    UserChanges { username: None, personal: personal.into() }
}

pub(crate) fn change_of_phone(phone: &str) -> UserChanges {
    let personal = PersonalChanges { phone: replaced(phone), ..PersonalChanges::default() };
    UserChanges { username: None, personal: personal.into() }
}

fn replaced<A: Attribute>(input: &str) -> Change<Personal<A>> {
    Change::parse(Change::Replace(input)).unwrap()
}
