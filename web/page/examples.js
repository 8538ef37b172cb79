// The tabs that a first visit finds: the tour of the README.

// The variables are shown as JSON. An id is known only once CreateUser has answered.
const tab = (query, variables) => ({
  query: query.trim() + '\n',
  variables: JSON.stringify(variables, null, 2),
});
const id = 'paste the id that CreateUser answered';

export const examples = [
  tab(`
# Stores a person. E-mail and phone are encrypted
# under a data key of this person's own.
# A token, if one is needed, goes under Headers:
# {"authorization": "Bearer …"}
mutation CreateUser($input: CreateUserInput!) {
  createUser(input: $input) {
    id
    username
    email
    phone
    createdAt
  }
}`, { input: { username: 'ada', email: 'ada@example.com', phone: '+44 20 7946 0958' } }),

  tab(`
# Reads one person back. Leave out email and phone,
# and no key is opened.
query UserByUsername($username: String!) {
  userByUsername(username: $username) {
    id
    username
    email
    phone
  }
}`, { username: 'ada' }),

  tab(`
# Finds a person by what only they have, in any
# spelling. No address is stored in the clear.
query UserByEmail($email: String!) {
  userByEmail(email: $email) {
    id
    username
    email
  }
}`, { email: 'Ada@EXAMPLE.com' }),

  tab(`
# A page of people. For the next one, set after
# to the endCursor of this one.
query Users($first: Int, $after: String) {
  users(first: $first, after: $after) {
    edges {
      node {
        id
        username
        email
        phone
      }
      cursor
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}`, { first: 10, after: null }),

  tab(`
# Changes a person: null removes, absent keeps.
mutation UpdateUser($id: ID!, $input: UpdateUserInput!) {
  updateUser(id: $id, input: $input) {
    id
    username
    email
    phone
    updatedAt
  }
}`, { id, input: { phone: null } }),

  tab(`
# Attributes that config/local.toml declares.
# Yours: docs/attributes.md
mutation Attributes($id: ID!, $attributes: [AttributeInput!]) {
  updateUser(id: $id, input: { attributes: $attributes }) {
    attributes {
      name
      kind
      value
      masked
    }
  }
}`, { id, attributes: [{ name: 'full_name', value: 'Ada Lovelace' }, { name: 'date_of_birth', value: '1815-12-10' }] }),

  tab(`
# Destroys a person's data key and data.
# This cannot be undone.
mutation ForgetUser($id: ID!) {
  forgetUser(id: $id) {
    userId
    erasedAt
    sequence
    digest
  }
}`, { id }),

  tab(`
# The ledger has the erasure,
# and the person answers FORGOTTEN.
query Proof($id: ID!) {
  erasure(userId: $id) {
    userId
    erasedAt
    sequence
    digest
  }
  user(id: $id) {
    id
    username
    email
    phone
  }
}`, { id }),
];
