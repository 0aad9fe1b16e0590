//! What a value has to look like before any rule of its setting is asked. Variables of the environment are
//! text, so every form can be written as text, too.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::{JsonTemplate, Secret};

/// A type that settings have.
pub(super) trait Form: Sized + 'static {
    /// `None` where the value does not have this form.
    fn parse(value: &Value) -> Option<Self>;

    /// The refusal of a value that does not have it. It never quotes the value, which may be a secret.
    fn wanted() -> String;

    /// What the reference calls it.
    fn name() -> String;
}

/// The implementation for one type: its name, its refusal, how it is parsed.
macro_rules! form {
    ($type:ty, $name:expr, $wanted:expr, $parse:expr) => {
        impl Form for $type {
            fn parse(value: &Value) -> Option<Self> {
                let parse: fn(&Value) -> Option<Self> = $parse;
                parse(value)
            }

            fn wanted() -> String {
                $wanted.to_owned()
            }

            fn name() -> String {
                $name.to_owned()
            }
        }
    };
}

form!(String, "text", "must be a string", |value| value.as_str().map(str::to_owned));
form!(PathBuf, "path", "must be a path in quotes", |value| value.as_str().map(Self::from));
form!(Secret, "secret", "must be a string in quotes", |value| value
    .as_str()
    .map(|text| Self::new(text.into())));
form!(i64, "whole number", "must be a whole number", |value| match value {
    Value::String(text) => text.trim().parse().ok(),
    value => value.as_integer(),
});
form!(f64, "number", "must be a number, such as 0.1", |value| match value {
    Value::String(text) => text.trim().parse().ok(),
    Value::Integer(whole) => i32::try_from(*whole).ok().map(f64::from),
    value => value.as_float(),
});
form!(bool, "`true` or `false`", "must be true or false", |value| match value {
    Value::String(text) => text.trim().parse().ok(),
    value => value.as_bool(),
});
form!(
    Duration,
    "duration",
    "must be a duration with its unit, such as \"500ms\", \"10m\", \"24h\" or \"7d\"",
    |value| humantime::parse_duration(value.as_str()?.trim()).ok()
);
form!(Vec<String>, "list", "must be a list of strings: [\"a\", \"b\"], or \"a,b\"", |value| match value {
    Value::String(text) if text.trim_start().starts_with('[') => Self::parse(&text.trim().parse().ok()?),
    Value::String(text) => Some(split_list(text)),
    value => value.as_array()?.iter().map(String::parse).collect(),
});
form!(
    BTreeMap<String, Vec<String>>,
    "lists by name",
    "must hold a list of strings by name: { \"a\" = [\"b\", \"c\"] }",
    |value| match value {
        Value::String(text) => text.trim().parse().ok().filter(Value::is_table).and_then(|v| Self::parse(&v)),
        value => {
            let lists = value.as_table()?.iter();
            lists.map(|(name, list)| Some((name.clone(), Vec::parse(list)?))).collect()
        }
    }
);

form!(
    BTreeMap<String, String>,
    "texts by name",
    "must hold texts by name: { \"Accept\" = \"application/json\" }",
    |value| match value {
        Value::String(text) => text.trim().parse().ok().filter(Value::is_table).and_then(|v| Self::parse(&v)),
        value => {
            let texts = value.as_table()?.iter();
            texts.map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned()))).collect()
        }
    }
);
form!(JsonTemplate, "JSON", "must be a table, or JSON in quotes: '{ \"token\": \"{token}\" }'", |value| {
    match value {
        Value::String(text) => serde_json::from_str(text).ok().map(Self),
        value => serde_json::to_value(value).ok().map(Self),
    }
});

/// The words of a list with commas or line breaks between.
pub(super) fn split_list(text: &str) -> Vec<String> {
    text.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A word out of a few. [`choices!`](super::setting::choices) makes such types.
pub(super) trait Choice: Copy + 'static {
    /// Every one.
    const ALL: &'static [Self];

    /// How it is written.
    fn word(self) -> &'static str;
}

impl<T: Choice> Form for T {
    fn parse(value: &Value) -> Option<Self> {
        let word = value.as_str()?;
        Self::ALL.iter().copied().find(|choice| choice.word() == word)
    }

    fn wanted() -> String {
        format!("must be {}", one_of(&words::<Self>()))
    }

    fn name() -> String {
        words::<Self>().iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    }
}

fn words<T: Choice>() -> Vec<&'static str> {
    T::ALL.iter().map(|choice| choice.word()).collect()
}

/// `` `a` ``, `` `a` or `b` ``, `` one of `a`, `b`, `c` ``.
pub(super) fn one_of(words: &[impl Display]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.len() {
        0..=2 => quoted.join(" or "),
        _ => format!("one of {}", quoted.join(", ")),
    }
}
