//! People who do not exist.

/// The attributes that they have beside their e-mail address.
pub(crate) const ATTRIBUTES: &str = "[attributes.full_name]\nkind = \"text\"\n[attributes.postal_address]\nkind = \"text\"\n\
    [attributes.date_of_birth]\nkind = \"date\"\n";

/// A file with so many of them.
pub(crate) fn csv(count: usize) -> String {
    let mut text = "username,email,full_name,postal_address,date_of_birth\n".to_owned();
    for number in 0..count {
        let [username, email, name, address, birth] = person(number);
        text.push_str(&format!("{username},{email},{name},\"{address}\",{birth}\n"));
    }
    text
}

/// What one of them has, in the order of the file.
pub(crate) fn person(number: usize) -> [String; 5] {
    [
        format!("user-{number}"),
        format!("person-{number}@mail.example.com"),
        format!("Ada {number} Lovelace"),
        format!("{number} St James's Square\nLondon SW1Y 4JH"),
        format!("{}-{:02}-{:02}", 1900 + number % 100, 1 + number % 12, 1 + number % 28),
    ]
}
