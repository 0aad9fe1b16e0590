//! How a table of settings is written: a struct whose fields say their sentence, type, default and range
//! once. Reading, refusals, rustdoc and `docs/settings.md` all come from that one line a setting.

use toml::{Table, Value};

use super::Environment;
use super::findings::Findings;
use super::section::Section;

/// Declares a struct of settings, one field a setting, and implements [`Settings`] for it. A field's doc
/// comment is the setting's sentence, the expression after its type the [`Rule`] that reads it. Where the
/// field has another name than the setting, the setting's follows `as`. `check` names what is asked of the
/// settings together.
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        $visible:vis struct $name:ident {
            $(
                $(#[doc = $about:literal])+
                $field_visible:vis $field:ident $(as $key:literal)? : $type:ty = $rule:expr,
            )*
        }
        $(check $check:path)?
    ) => {
        $(#[$attribute])*
        $visible struct $name {
            $(
                $(#[doc = $about])+
                ///
                #[doc = concat!("As a setting: `` ", stringify!($rule), " ``.")]
                $field_visible $field: $type,
            )*
        }

        $crate::config::setting::settings! {
            impl $name { $( $(#[doc = $about])+ $field $(as $key)? : $type = $rule, )* }
            $(check $check)?
        }
    };
    (
        impl $name:ident {
            $( $(#[doc = $about:literal])+ $field:ident $(as $key:literal)? : $type:ty = $rule:expr, )*
        }
        $(check $check:path)?
    ) => {
        impl $crate::config::setting::Settings for $name {
            fn rows() -> Vec<$crate::config::setting::Row> {
                let rows = [$({
                    let rule: $crate::config::rule::Rule<$type> = $rule;
                    rule.rows($crate::config::setting::key!($field $($key)?), concat!($($about),+))
                },)*];
                rows.into_iter().flatten().collect()
            }

            fn read(section: &mut $crate::config::section::Section<'_>) -> Self {
                let read = Self {
                    $( $field: $rule.read($crate::config::setting::key!($field $($key)?), section), )*
                };
                $( $check(&read, section); )?
                read
            }
        }
    };
}

macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// Declares an enum of the words that a setting may be.
macro_rules! choices {
    (
        $(#[$attribute:meta])*
        $visible:vis enum $name:ident { $( $(#[$about:meta])+ $variant:ident = $word:literal, )+ }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visible enum $name { $( $(#[$about])+ $variant, )+ }

        impl $name {
            /// How it is written as a setting.
            $visible const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::config::form::Choice for $name {
            const ALL: &'static [Self] = &[$( Self::$variant, )+];

            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    };
}

pub(super) use {choices, key, settings};

/// A struct of settings.
pub(super) trait Settings: Sized + 'static {
    /// A row a setting.
    fn rows() -> Vec<Row>;

    /// The settings of a section. What is refused gets a stand-in, which never leaves this module, as
    /// [`Findings::finish`] hands out nothing then.
    fn read(section: &mut Section<'_>) -> Self;
}

impl<T: Settings> Settings for Box<T> {
    fn rows() -> Vec<Row> {
        T::rows()
    }

    fn read(section: &mut Section<'_>) -> Self {
        Box::new(T::read(section))
    }
}

/// The settings where nothing is given.
pub(super) fn defaults<T: Settings>() -> T {
    T::read(&mut Section::top_of(&Table::new(), &Environment::default(), &mut Findings::default()))
}

/// What is to be known of a setting without reading it.
#[derive(Clone)]
pub(super) struct Row {
    /// Its name in its section.
    pub(super) key: &'static str,
    /// Its sentence, as in the doc comment.
    pub(super) about: &'static str,
    /// Its form and range.
    pub(super) form: String,
    /// What it is where it is not given.
    pub(super) default: String,
    /// Whether it can also be given by a file, as `<key>_file`.
    pub(super) is_secret: bool,
    pub(super) shape: Shape,
}

impl Row {
    /// Whether a key of the configuration means this setting.
    pub(super) fn is_named(&self, key: &str) -> bool {
        self.key == key || self.is_file(key)
    }

    /// Whether a key of the configuration names the file that this secret is in.
    pub(super) fn is_file(&self, key: &str) -> bool {
        self.is_secret && key.strip_suffix("_file") == Some(self.key)
    }
}

/// What stands below a setting.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Nothing. The function says what is wrong with the form of a value.
    Plain(fn(&Value) -> Result<(), String>),
    /// A section of these settings.
    Section(fn() -> Vec<Row>),
    /// Sections of these settings, by a name that the operator chooses.
    ByName(fn() -> Vec<Row>),
    /// Settings that stand in the same section.
    Beside(fn() -> Vec<Row>),
}
