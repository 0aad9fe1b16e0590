//! Which of a provider's two credentials a call is made with.

use std::ops::{Index, IndexMut};

/// What a call is for. Tokens are revoked as the OAuth client; everything wider mostly with an
/// administrator's credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One token.
    Token,
    /// More than one token: a session, a subject, a client or an issuer.
    Wide,
}

impl Scope {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Token, Self::Wide];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Token => Self::Wide,
            Self::Wide => Self::Token,
        }
    }
}

/// A value for each scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerScope<T> {
    /// That of calls for one token.
    pub token: T,
    /// That of wide calls.
    pub wide: T,
}

impl<T> PerScope<T> {
    /// What `of` says of each.
    pub fn new(of: impl Fn(Scope) -> T) -> Self {
        Self { token: of(Scope::Token), wide: of(Scope::Wide) }
    }

    /// Both values, that of tokens first.
    pub fn iter(&self) -> std::array::IntoIter<&T, 2> {
        [&self.token, &self.wide].into_iter()
    }

    /// Both values, to be changed.
    pub fn iter_mut(&mut self) -> std::array::IntoIter<&mut T, 2> {
        [&mut self.token, &mut self.wide].into_iter()
    }
}

impl<T> Index<Scope> for PerScope<T> {
    type Output = T;

    fn index(&self, scope: Scope) -> &T {
        match scope {
            Scope::Token => &self.token,
            Scope::Wide => &self.wide,
        }
    }
}

impl<T> IndexMut<Scope> for PerScope<T> {
    fn index_mut(&mut self, scope: Scope) -> &mut T {
        match scope {
            Scope::Token => &mut self.token,
            Scope::Wide => &mut self.wide,
        }
    }
}
