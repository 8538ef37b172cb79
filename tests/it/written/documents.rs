use std::fmt::Write;

use oubliette::keys::ErrorClass;
use proptest::prelude::*;
use uuid::Uuid;

/// A document, who sends it, and what is wrong meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) roots: Vec<Root>,
    pub(super) scopes: &'static str,
    /// The person whom the caller is bound to.
    pub(super) own: Option<usize>,
    pub(super) subjects_per_minute: Option<u32>,
    pub(super) fault: Fault,
}

/// What is wrong with the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// None is in the cache.
    Cold,
    /// The same, and the backend fails.
    Backend(ErrorClass),
}

#[derive(Clone, Debug)]
pub(super) enum Root {
    ById(usize, Vec<Item>),
    ByName(usize, Vec<Item>),
    Page(Page, Vec<Item>),
}

#[derive(Clone, Debug)]
pub(super) struct Page {
    arguments: &'static str,
}

/// Something in a selection set.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Field { name: &'static str, alias: Option<u8>, directive: &'static str, below: Vec<Item> },
    Inline { on: Option<&'static str>, directive: &'static str, items: Vec<Item> },
    Spread { on: &'static str, items: Vec<Item> },
}

const USER_FIELDS: [&str; 9] = [
    "id",
    "username",
    "email",
    "phone",
    "emailMasked",
    "phoneMasked",
    "createdAt",
    "updatedAt",
    "__typename",
];
/// Fields that answer attributes: by a variable, too, and of such as there are not.
const ATTRIBUTE_FIELDS: [&str; 8] = [
    "attribute(name: \"full_name\")",
    "attribute(name: \"email\")",
    "attribute(name: $name)",
    "attribute(name: \"shoe_size\")",
    "attributes(names: [\"full_name\", \"email\", \"full_name\", \"date_of_birth\"])",
    "attributes(names: [$name, \"phone\"])",
    "attributes(names: [])",
    "attributes",
];
const PERSONAL_ATTRIBUTE_FIELDS: [&str; 6] = ["name", "kind", "value", "masked", "updatedAt", "__typename"];
const PAGE_INFO_FIELDS: [&str; 5] =
    ["hasPreviousPage", "hasNextPage", "startCursor", "endCursor", "__typename"];
/// Those that leave a field out are as often as those that do not.
const DIRECTIVES: [&str; 9] =
    ["", "", "", "", "", "@include(if: true)", "@include(if: $no)", "@skip(if: false)", "@skip(if: $yes)"];

pub(super) fn documents() -> impl Strategy<Value = Case> {
    let scopes = prop_oneof![
        6 => Just("users:read pii:read"),
        1 => Just("users:read"),
        1 => Just("pii:read"),
        1 => Just("users:write pii:read"),
        1 => Just("users:read users:write"),
        1 => Just("users:read pii:read:full_name"),
        1 => Just("pii:read:full_name pii:read:email"),
    ];
    let own = prop_oneof![4 => Just(None), 1 => (0..8_usize).prop_map(Some)];
    let limit = prop_oneof![4 => Just(None), 1 => (0..8_u32).prop_map(Some)];
    let fault = prop_oneof![
        5 => Just(Fault::None),
        2 => Just(Fault::Cold),
        1 => Just(Fault::Backend(ErrorClass::Unavailable)),
        1 => Just(Fault::Backend(ErrorClass::Denied)),
    ];
    let roots = prop::collection::vec(root(), 1..3);
    (roots, scopes, own, limit, fault).prop_map(|(mut roots, scopes, own, limit, fault)| {
        if limit.is_some() {
            // Who of several is charged first is the scheduler's business.
            roots.truncate(1);
        }
        Case { roots, scopes, own, subjects_per_minute: limit, fault }
    })
}

fn root() -> impl Strategy<Value = Root> {
    let arguments = prop_oneof![
        4 => Just("first: 100"),
        4 => Just("first: 3"),
        4 => Just("last: 4"),
        1 => Just("first: 0"),
        1 => Just("first: -1"),
        1 => Just("first: 101"),
    ];
    prop_oneof![
        2 => (0..8_usize, user()).prop_map(|(whom, items)| Root::ById(whom, items)),
        1 => (0..8_usize, user()).prop_map(|(whom, items)| Root::ByName(whom, items)),
        3 => (arguments, connection()).prop_map(|(arguments, items)| Root::Page(Page { arguments }, items)),
    ]
}

fn user() -> impl Strategy<Value = Vec<Item>> {
    let below = set("PersonalAttribute", &leaf(&PERSONAL_ATTRIBUTE_FIELDS));
    let attributes = (prop::sample::select(&ATTRIBUTE_FIELDS[..]), below);
    let field = prop_oneof![4 => leaf(&USER_FIELDS), 1 => field(attributes)];
    set("User", &field.boxed())
}

fn connection() -> impl Strategy<Value = Vec<Item>> {
    let edge = prop_oneof![
        3 => user().prop_map(|below| ("node", below)),
        1 => Just(("cursor", Vec::new())),
        1 => Just(("__typename", Vec::new())),
    ];
    let edge = field(edge);
    let field_of_connection = prop_oneof![
        3 => set("UserEdge", &edge).prop_map(|below| ("edges", below)),
        1 => user().prop_map(|below| ("nodes", below)),
        1 => set("PageInfo", &leaf(&PAGE_INFO_FIELDS)).prop_map(|below| ("pageInfo", below)),
        1 => Just(("__typename", Vec::new())),
    ];
    set("UserConnection", &field(field_of_connection))
}

fn leaf(names: &'static [&'static str]) -> BoxedStrategy<Item> {
    field(prop::sample::select(names).prop_map(|name| (name, Vec::new())))
}

fn field(named: impl Strategy<Value = (&'static str, Vec<Item>)> + 'static) -> BoxedStrategy<Item> {
    let alias = prop_oneof![3 => Just(None), 1 => (0..30_u8).prop_map(Some)];
    (named, alias, prop::sample::select(&DIRECTIVES[..]))
        .prop_map(|((name, below), alias, directive)| Item::Field { name, alias, directive, below })
        .boxed()
}

/// Some fields, and some of these in fragments.
fn set(on: &'static str, field: &BoxedStrategy<Item>) -> BoxedStrategy<Vec<Item>> {
    let fields = || prop::collection::vec(field.clone(), 1..4);
    let condition = prop_oneof![Just(None), Just(Some(on)), Just(Some(on))];
    let directive = prop::sample::select(&DIRECTIVES[..]);
    let item = prop_oneof![
        8 => field.clone(),
        1 => (condition, directive, fields())
            .prop_map(|(on, directive, items)| Item::Inline { on, directive, items }),
        1 => fields().prop_map(move |items| Item::Spread { on, items }),
    ];
    prop::collection::vec(item, 1..5).boxed()
}

impl Case {
    /// The document, about nobody.
    pub(super) fn text(&self) -> String {
        self.text_about(&[Uuid::nil(); 8], &[const { String::new() }; 8])
    }

    pub(super) fn text_about(&self, ids: &[Uuid], names: &[String]) -> String {
        let (mut text, mut fragments) = (String::new(), String::new());
        for (number, root) in self.roots.iter().enumerate() {
            let (head, items) = match root {
                Root::ById(whom, items) => (format!("user(id: \"{}\")", ids[*whom]), items),
                Root::ByName(whom, items) => {
                    (format!("userByUsername(username: \"{}\")", names[*whom]), items)
                }
                Root::Page(Page { arguments }, items) => (format!("users({arguments})"), items),
            };
            write!(text, " r{number}: {head} @include(if: $yes) @skip(if: $no)").unwrap();
            write_set(&mut text, &mut fragments, items);
        }
        let body = text + " }" + &fragments;
        // All variables are used.
        let name = if body.contains("$name") { ", $name: String! = \"full_name\"" } else { "" };
        format!("query($yes: Boolean!, $no: Boolean!{name}) {{{body}")
    }
}

fn write_set(text: &mut String, fragments: &mut String, items: &[Item]) {
    text.push_str(" {");
    for item in items {
        match item {
            Item::Field { name, alias, directive, below } => {
                text.push(' ');
                if let Some(alias) = alias {
                    write!(text, "a{alias}: ").unwrap();
                }
                write!(text, "{name} {directive}").unwrap();
                if !below.is_empty() {
                    write_set(text, fragments, below);
                }
            }
            Item::Inline { on, directive, items } => {
                let on = on.map(|on| format!(" on {on}")).unwrap_or_default();
                write!(text, " ...{on} {directive}").unwrap();
                write_set(text, fragments, items);
            }
            Item::Spread { on, items } => {
                let mut set = String::new();
                write_set(&mut set, fragments, items);
                let number = fragments.matches("fragment ").count();
                write!(text, " ...f{number}").unwrap();
                write!(fragments, " fragment f{number} on {on}{set}").unwrap();
            }
        }
    }
    text.push_str(" }");
}
