use async_graphql::{
    Context, Enum, InputObject, Object, Result, SelectionField, Value, resolver_utils::EnumType,
};
use chrono::{DateTime, Utc};

use super::{
    errors::bad_input,
    nullable::{Nullable, nullable},
    session::Session,
};
use crate::{
    access::{Budget, Need, Scope},
    attributes::{self, AttributeName, Change},
    users::{AttributeChanges, Reads, User, UserAttribute, UserError, Users},
};

/// Most names in one list.
pub(super) const MAX_NAMES: usize = 100;

/// Who may know which attributes there are.
pub(super) const ANY_ATTRIBUTE: Need =
    Need::OneOfForAny(&[Scope::UsersRead, Scope::UsersWrite, Scope::PiiRead]);

/// What the values of an attribute are.
#[derive(Clone, Copy, Debug, Enum, PartialEq, Eq)]
#[graphql(remote = "attributes::AttributeKind")]
pub(super) enum AttributeKind {
    /// Any text, in Unicode's form NFC.
    Text,
    /// An e-mail address.
    Email,
    /// A phone number, in E.164 form.
    Phone,
    /// A day: `1815-12-10`.
    Date,
}

/// A kind's name in the schema.
pub(super) fn kind_name(kind: attributes::AttributeKind) -> &'static str {
    AttributeKind::items().iter().find(|item| item.value == kind.into()).map_or("", |item| item.name)
}

/// How a value is shown to whoever may not see it.
#[derive(Clone, Copy, Debug, Enum, PartialEq, Eq)]
#[graphql(remote = "attributes::Mask")]
pub(super) enum AttributeMask {
    /// Nothing of it.
    Hidden,
    /// The first letter of each word.
    Initials,
    /// The last four characters.
    #[graphql(name = "LAST_4")]
    Last4,
    /// An e-mail address's first letters and its top-level domain.
    Email,
    /// A phone number's country code and last two digits.
    Phone,
    /// A date's year.
    Year,
}

/// An attribute that users can have.
pub(super) struct DefinitionObject(pub(super) UserAttribute);

/// An attribute that users can have: `email`, `phone`, or one that an operator declared in the configuration.
#[Object(name = "AttributeDefinition")]
impl DefinitionObject {
    /// The name: `full_name`.
    async fn name(&self) -> &str {
        self.0.name()
    }

    /// What its values are.
    async fn kind(&self) -> AttributeKind {
        self.0.kind().into()
    }

    /// Most characters of a text; null for other kinds.
    async fn max_length(&self) -> Option<usize> {
        self.0.max_length()
    }

    /// What a whole text must match, if anything: a regular expression of Rust's crate `regex`.
    async fn pattern(&self) -> Option<&str> {
        self.0.pattern()
    }

    /// How its values are masked.
    async fn mask(&self) -> AttributeMask {
        self.0.mask().into()
    }
}

/// A user's value of an attribute.
pub(super) struct AttributeObject {
    pub(super) user: User,
    pub(super) attribute: UserAttribute,
    pub(super) updated_at: DateTime<Utc>,
}

/// A user's value of an attribute. It is encrypted, and decrypted only if a query selects `value` or `masked`.
#[Object(name = "PersonalAttribute")]
impl AttributeObject {
    /// The attribute's name: `full_name`.
    async fn name(&self) -> &str {
        self.attribute.name()
    }

    /// What its values are.
    async fn kind(&self) -> AttributeKind {
        self.attribute.kind().into()
    }

    /// The value. Needs `pii:read`, or `pii:read:` and the attribute's name.
    async fn value(&self, context: &Context<'_>) -> Nullable<String> {
        self.open(context, Shown::Clear).await
    }

    /// The value, masked. Needs `users:read`.
    async fn masked(&self, context: &Context<'_>) -> Nullable<String> {
        self.open(context, Shown::Masked).await
    }

    /// When the value was last changed; of `email` and `phone`, when the user was.
    async fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}

impl AttributeObject {
    async fn open(&self, context: &Context<'_>, shown: Shown) -> Nullable<String> {
        look(context, &self.user, &self.attribute, shown).await
    }
}

/// How a value is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Clear,
    Masked,
    /// Not at all, but that there is one. For whom it concerns, no less than a mask tells.
    There,
}

impl Shown {
    /// What it needs.
    pub(super) fn need(self, attribute: &UserAttribute) -> Need {
        match self {
            Self::Clear => Need::For(Scope::PiiRead, attribute.recorded()),
            Self::Masked => Need::OneOf(&[Scope::UsersRead]),
            Self::There => Need::There(attribute.recorded()),
        }
    }

    /// What the audit trail calls it.
    pub(super) fn recorded(self, attribute: &UserAttribute) -> AttributeName {
        match self {
            Self::Clear => attribute.recorded(),
            Self::Masked | Self::There => attribute.recorded().masked(),
        }
    }
}

/// Opens a personal value, if the caller may see it, and notes that they did.
pub(super) async fn look(
    context: &Context<'_>,
    user: &User,
    attribute: &UserAttribute,
    shown: Shown,
) -> Nullable<String> {
    nullable(async {
        let (session, subject, name) = (Session::of(context)?, user.id(), shown.recorded(attribute));
        session.allow_look(context.data_unchecked::<Budget>(), shown.need(attribute), subject, &name)?;
        let opened = user.open(attribute).await;
        session.note_look(subject, &name, opened.is_ok());
        Ok(opened?.map(|value| match shown {
            Shown::Clear => value.into_exposed(),
            Shown::Masked | Shown::There => attribute.masked(value.expose()),
        }))
    })
    .await
}

/// Some attributes of a user, those without a value left out. That there is one or none is a look at least: it tells something about a person.
pub(super) async fn attributes_of(
    context: &Context<'_>,
    user: &User,
    attributes: Vec<UserAttribute>,
) -> Result<Vec<AttributeObject>> {
    let session = Session::of(context)?;
    let budget = context.data_unchecked::<Budget>();
    for attribute in &attributes {
        let name = Shown::There.recorded(attribute);
        session.allow_look(budget, Shown::There.need(attribute), user.id(), &name)?;
    }
    let mut reads = Reads::COLUMNS;
    for attribute in &attributes {
        reads.add(attribute);
    }
    let user = user.clone().reading(&reads).await?;
    let mut shown: Vec<_> =
        context.field().selection_set().filter_map(|field| shown_by(field.name())).collect();
    let is_shown = !shown.is_empty();
    if !is_shown {
        shown.push(Shown::There);
    }
    let mut found = Vec::with_capacity(attributes.len());
    for attribute in attributes {
        let updated_at = user.changed_at(&attribute);
        // Those that are shown are noted where they are opened.
        if updated_at.is_none() || !is_shown {
            for shown in shown.iter().filter(|shown| session.may(&shown.need(&attribute), Some(user.id()))) {
                session.note_look(user.id(), &shown.recorded(&attribute), true);
            }
        }
        found.extend(updated_at.map(|updated_at| AttributeObject {
            user: user.clone(),
            attribute,
            updated_at,
        }));
    }
    Ok(found)
}

/// How a field of `PersonalAttribute` shows the value, if it does.
pub(super) fn shown_by(field: &str) -> Option<Shown> {
    match field {
        "value" => Some(Shown::Clear),
        "masked" => Some(Shown::Masked),
        _ => None,
    }
}

/// The attribute with a name that a caller gave, in a list at some place. The name is not repeated: it may be a value by mistake.
pub(super) fn named(
    users: &Users,
    field: &'static str,
    place: Option<usize>,
    name: &str,
) -> Result<UserAttribute, UserError> {
    users.attribute(name).ok_or_else(|| {
        let problem = match place {
            Some(place) => format!("has no name of an attribute at place {place}"),
            None => "is the name of no attribute".to_owned(),
        };
        let problem = format!("{problem}: attributeDefinitions has those that there are");
        UserError::Invalid { field: field.into(), problem }
    })
}

/// The attributes with these names, each once; without names, all whose presence the caller may know of.
pub(super) fn all_named(context: &Context<'_>, names: Option<&[String]>) -> Result<Vec<UserAttribute>> {
    let users = context.data_unchecked::<Users>();
    let Some(names) = names else {
        let caller = Session::of(context)?.caller();
        let may = |attribute: &UserAttribute| caller.allow(Shown::There.need(attribute)).is_ok();
        return Ok(users.attributes().filter(may).collect());
    };
    if names.len() > MAX_NAMES {
        return Err(bad_input("names", &format!("has more than {MAX_NAMES} names")));
    }
    let mut attributes = Vec::with_capacity(names.len());
    for (name, place) in names.iter().zip(1..) {
        let attribute = named(users, "names", Some(place), name)?;
        if !attributes.contains(&attribute) {
            attributes.push(attribute);
        }
    }
    Ok(attributes)
}

/// A value of an attribute that a user gets.
#[derive(InputObject)]
pub(super) struct AttributeInput {
    /// The attribute's name: see `attributeDefinitions`.
    name: String,
    /// The value; null removes it.
    value: Option<String>,
}

/// Adds what was given by name.
pub(super) fn add_all(
    changes: &mut AttributeChanges,
    users: &Users,
    given: &[AttributeInput],
) -> Result<(), UserError> {
    if given.len() > MAX_NAMES {
        let problem = format!("has more than {MAX_NAMES} entries");
        return Err(UserError::Invalid { field: "attributes".into(), problem });
    }
    given.iter().zip(1..).try_for_each(|(AttributeInput { name, value }, place)| {
        let change = value.as_deref().map_or(Change::Remove, Change::Replace);
        changes.add(&named(users, "attributes", Some(place), name)?, change)
    })
}

/// What is read of users for the fields below one that answers them.
pub(super) fn reads(context: &Context<'_>) -> Reads {
    let mut reads = Reads::COLUMNS;
    add_reads(context.data_unchecked::<Users>(), context.field(), &mut reads);
    reads
}

/// What names an unknown attribute is refused where it is resolved.
fn add_reads(users: &Users, field: SelectionField<'_>, reads: &mut Reads) {
    for below in field.selection_set() {
        match below.name() {
            "attribute" | "attributes" => {
                let arguments = below.arguments().unwrap_or_default();
                let names: Option<Vec<_>> = arguments.into_iter().find_map(|(_, value)| names_in(value));
                match names {
                    Some(names) => {
                        names.iter().filter_map(|name| users.attribute(name)).for_each(|one| reads.add(&one));
                    }
                    None => users.attributes().for_each(|one| reads.add(&one)),
                }
            }
            _ => add_reads(users, below, reads),
        }
    }
}

fn names_in(value: Value) -> Option<Vec<String>> {
    match value {
        Value::String(name) => Some(vec![name]),
        Value::List(names) => Some(names.into_iter().filter_map(names_in).flatten().collect()),
        _ => None,
    }
}
