//! How a setting is read: from its form, over what is asked of it, to its value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::Value;

use super::Secret;
use super::form::{Choice, Form};
use super::secret_file;
use super::section::Section;
use super::setting::{Row, Settings, Shape};

/// How a setting is read.
pub(super) struct Rule<V> {
    shape: Shape,
    form: String,
    default: String,
    is_secret: bool,
    read: Read<V>,
}

/// Reads the setting of a name in a section.
type Read<V> = Box<dyn Fn(&str, &mut Section<'_>) -> V>;

impl<V: 'static> Rule<V> {
    pub(super) fn new(shape: Shape, read: impl Fn(&str, &mut Section<'_>) -> V + 'static) -> Self {
        let (form, default) = (String::new(), String::new());
        Self { shape, form, default, is_secret: false, read: Box::new(read) }
    }

    /// With another sentence for its form.
    pub(super) fn form(self, form: impl Into<String>) -> Self {
        Self { form: form.into(), ..self }
    }

    /// With a sentence for what it is where it is not given.
    pub(super) fn default(self, default: impl Into<String>) -> Self {
        Self { default: default.into(), ..self }
    }

    /// With a second way to give it: by a file, as `<key>_file`.
    pub(super) fn or_file(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// With other settings than its type's in its section.
    pub(super) fn rows_of(self, rows: fn() -> Vec<Row>) -> Self {
        Self { shape: Shape::Section(rows), ..self }
    }

    /// With a second name: the same key in the section `other`.
    pub(super) fn also_in(self, other: &'static str) -> Self {
        let read = self.read;
        let either = move |key: &str, section: &mut Section<'_>| {
            match (section.has(key), section.elsewhere(other).has(key)) {
                (false, true) => return read(key, &mut section.elsewhere(other)),
                (true, true) => {
                    let why = format!("given together with {other}.{key}, which means the same; keep one");
                    section.refuse(key, why);
                }
                _ => {}
            }
            read(key, section)
        };
        Self { read: Box::new(either), ..self }
    }

    /// With what is made of the value, and what is asked of it.
    pub(super) fn then<W: 'static>(self, next: impl Fn(V, &str, &mut Section<'_>) -> W + 'static) -> Rule<W> {
        let Self { shape, form, default, is_secret, read } = self;
        let read = Box::new(move |key: &str, section: &mut Section<'_>| {
            let value = read(key, section);
            next(value, key, section)
        });
        Rule { shape, form, default, is_secret, read }
    }

    /// Only where the section gives a reason to read it.
    pub(super) fn only_if(self, is_wanted: fn(&Section<'_>) -> bool) -> Rule<Option<V>> {
        let Self { shape, form, default, is_secret, read } = self;
        let read = Box::new(move |key: &str, section: &mut Section<'_>| {
            is_wanted(section).then(|| read(key, section))
        });
        Rule { shape, form, default, is_secret, read }
    }

    pub(super) fn read(&self, key: &str, section: &mut Section<'_>) -> V {
        (self.read)(key, section)
    }

    pub(super) fn rows(self, key: &'static str, about: &'static str) -> Vec<Row> {
        match self.shape {
            Shape::Beside(rows) => rows(),
            shape => {
                let Self { form, default, is_secret, .. } = self;
                vec![Row { key, about, form, default, is_secret, shape }]
            }
        }
    }
}

/// A setting that is absent where it is not given.
pub(super) fn optional<T: Form>() -> Rule<Option<T>> {
    let check = |value: &Value| T::parse(value).map(drop).ok_or_else(T::wanted);
    Rule::new(Shape::Plain(check), |key, section| section.given(key)).form(T::name())
}

/// A setting with a default of any kind.
pub(super) fn or<T: Form + Clone>(default: T, shown: impl Into<String>) -> Rule<T> {
    optional::<T>().default(shown).then(move |given, _, _| given.unwrap_or_else(|| default.clone()))
}

/// Yes or no.
pub(super) fn flag(default: bool) -> Rule<bool> {
    or(default, format!("`{default}`"))
}

/// A list, empty where it is not given.
pub(super) fn list() -> Rule<Vec<String>> {
    or(Vec::new(), "none")
}

/// One of a few words.
pub(super) fn choice<T: Choice>(default: T) -> Rule<T> {
    or(default, format!("`{}`", default.word()))
}

/// A text that must be there. `remedy`: what to do where it is not.
pub(super) fn required(remedy: &'static str) -> Rule<String> {
    optional::<String>().default("no default").then(move |given, key, section| {
        let text = given.filter(|text| !text.is_empty());
        if text.is_none() {
            section.missing(key, remedy);
        }
        text.unwrap_or_default()
    })
}

/// A secret, by itself or by a file.
pub(super) fn secret() -> Rule<Option<Secret>> {
    optional::<Secret>().or_file().then(|_, key, section| section.secret(key))
}

/// A file that decides whom this process trusts.
pub(super) fn trusted_file() -> Rule<Option<PathBuf>> {
    optional::<PathBuf>().then(|file, key, section| {
        if let Some(open) = file.as_deref().filter(|file| secret_file::is_open_to_all(file)) {
            let shown = open.display();
            let why =
                format!("{shown} may be written by everybody on this machine: chmod 644 it, and replace it");
            section.refuse(key, why);
        }
        file
    })
}

/// A secret that must be there.
pub(super) fn required_secret(remedy: &'static str) -> Rule<Secret> {
    secret().default("no default").then(move |secret, key, section| {
        if secret.is_none() {
            section.missing(key, remedy);
        }
        secret.unwrap_or_else(|| Secret::new(String::new()))
    })
}

/// A section.
pub(super) fn section<T: Settings>() -> Rule<T> {
    Rule::new(Shape::Section(T::rows), |key, section| T::read(&mut section.within(key)))
}

/// A section that may be absent as a whole.
pub(super) fn optional_section<T: Settings>() -> Rule<Option<T>> {
    Rule::new(Shape::Section(T::rows), |key, section| {
        section.has(key).then(|| T::read(&mut section.within(key)))
    })
}

/// Sections by names that the operator chooses. `None`: not even the section of the names is there.
pub(super) fn by_name<T: Settings>() -> Rule<Option<BTreeMap<String, T>>> {
    Rule::new(Shape::ByName(T::rows), |key, section| {
        let mut sections = section.within(key);
        let names = sections.names()?;
        Some(names.into_iter().map(|name| (name.clone(), T::read(&mut sections.within(&name)))).collect())
    })
}

/// Settings in the same section that make one value.
pub(super) fn beside<T: Settings>() -> Rule<T> {
    Rule::new(Shape::Beside(T::rows), |_, section| T::read(section))
}

/// Settings in the same section that are given all together or not at all.
pub(super) fn all_or_none<T: Settings>() -> Rule<Option<T>> {
    beside().only_if(|section| T::rows().iter().any(|row| section.has(row.key)))
}
