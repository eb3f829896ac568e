use std::cell::Cell;
use std::collections::BTreeSet;

use regex::Regex;
use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::oci::{OCI_ENV, OCI_VOLUME};
use super::steps::{
    ABSENT, DIRECTORY, DOWNLOAD, FILE, NPM, RUN, UNIT_FILE, UNIT_STATE, USER, VENV,
};
use super::*;
use crate::catalog::format;
use crate::catalog::format::UnitStep;

/// Asks a type for its fields.
struct Asking<'a>(&'a Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Asking<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("nothing is read"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.set(fields);
        Err(Error::custom("nothing is read"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn same<'de, T: Deserialize<'de>>(of: &Object) {
    let asked: Cell<&'static [&'static str]> = Cell::new(&[]);
    assert!(T::deserialize(Asking(&asked)).is_err());
    let read: BTreeSet<&str> = asked.get().iter().copied().collect();
    let table: BTreeSet<&str> = of.fields.iter().map(|field| field.name).collect();
    assert_eq!(read, table, "{}", of.name);
    assert_eq!(table.len(), of.fields.len(), "{}", of.name);
}

#[test]
fn the_table_has_the_fields_that_the_loader_reads() {
    same::<format::EntryFile>(&ENTRY);
    same::<format::OciFile>(&OCI);
    same::<format::EnvFile>(&OCI_ENV);
    same::<format::ImageVolume>(&OCI_VOLUME);
    same::<format::Port>(&PORT);
    same::<format::ReleasesFile>(&RELEASES);
    same::<format::ResourcesFile>(&RESOURCES);
    same::<format::MemoryFile>(&MEMORY);
    same::<format::CoresFile>(&CORES);
    same::<format::DiskFile>(&DISK);
    same::<format::SettingFile>(&SETTINGS);
    same::<format::ShownWhenFile>(&SHOWN_WHEN);
    same::<format::Generate>(&GENERATE);
    same::<format::StepFile>(&STEP);
    same::<format::FileFile>(&FILE);
    same::<format::AbsentFile>(&ABSENT);
    same::<UnitStep>(&UNIT_STATE);
    same::<format::RunStep>(&RUN);
    same::<format::UserStep>(&USER);
    same::<format::DirectoryStep>(&DIRECTORY);
    same::<format::UnitFileStep>(&UNIT_FILE);
    same::<format::VenvStep>(&VENV);
    same::<format::NpmStep>(&NPM);
    same::<format::DownloadStep>(&DOWNLOAD);
    same::<format::HealthFile>(&HEALTH);
    same::<format::HttpCheckFile>(&HTTP);
    same::<format::TcpCheckFile>(&TCP);
    same::<format::ExecCheck>(&EXEC);
}

fn one_of(of: &'static Object) {
    for name in of.one_of {
        let field = of.fields.iter().find(|field| field.name == *name);
        assert!(
            field.is_some_and(|field| !field.required),
            "{}.{name}",
            of.name
        );
    }
    for field in of.fields {
        if let Shape::Object(of) | Shape::Objects(of, ..) = &field.shape {
            one_of(of);
        }
    }
}

#[test]
fn of_which_there_is_one_are_fields_that_may_be_missing() {
    one_of(&ENTRY);
}

fn rules(of: &'static Object, found: &mut Vec<&'static Rule>) {
    for field in of.fields {
        match &field.shape {
            Shape::Text(rule) | Shape::Texts(rule, ..) => found.push(rule),
            Shape::Object(of) | Shape::Objects(of, ..) => rules(of, found),
            Shape::Word(_) | Shape::Integer(..) | Shape::Boolean | Shape::Scalar => {}
        }
    }
}

#[test]
fn every_expression_is_one() {
    let mut found = Vec::new();
    rules(&ENTRY, &mut found);
    assert!(found.len() > 20);
    for rule in found {
        assert!(Regex::new(rule.pattern).is_ok(), "{}", rule.pattern);
        assert!(rule.min <= rule.max, "{}", rule.says);
    }
}

/// Where the rule is more than its expression, the expression allows whatever the rule does.
#[test]
fn expressions_allow_what_rules_do() {
    let mut found = Vec::new();
    rules(&ENTRY, &mut found);
    let texts = [
        "/srv/a",
        "/srv/../a",
        "/",
        "srv",
        "/a b",
        "root",
        "www-data",
        "_apt",
        "0a",
        "nginx-light",
        "libstdc++6",
        "a",
        "nginx.service",
        "--now",
        "getty@tty1.service",
        "0644",
        "4755",
        "",
    ];
    for rule in found {
        let Some(check) = rule.check else { continue };
        let expression = Regex::new(rule.pattern).unwrap();
        for text in texts.iter().filter(|text| check(text)) {
            assert!(expression.is_match(text), "{text:?}: {}", rule.says);
        }
    }
}
