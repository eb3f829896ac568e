//! The cluster's list of tasks as far as who waits for one needs it: which there are, and which of them ended. It is long, and is
//! read several times a second.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, de};

use crate::call::Call;
use crate::error::Result;
use crate::lenient;
use crate::read::ReadClient;
use crate::upid::{NotAUpid, Upid};

/// One task in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    upid: Box<str>,
    has_ended: bool,
}

/// Where the tasks of the list stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Standings(Vec<Standing>);

impl Standings {
    /// Whether this task ended; nothing if the list does not show it.
    pub(super) fn has_ended(&self, upid: &Upid) -> Option<bool> {
        let mut rows = self.0.iter().rev();
        let row = rows.find(|row| *row.upid == *upid.as_str())?;
        Some(row.has_ended)
    }
}

/// A row as PVE sends it: see [`super::TaskRow`] for the whole of it.
#[derive(Deserialize)]
pub(super) struct Row<'a> {
    #[serde(borrow)]
    pub(super) upid: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient::opt_u64")]
    pub(super) endtime: Option<u64>,
    /// How many bytes of text say how it ended, if it did.
    #[serde(default, rename = "status", deserialize_with = "end")]
    pub(super) end: Option<usize>,
}

impl Row<'_> {
    /// Whether it ended.
    pub(super) fn has_ended(&self) -> bool {
        self.end.is_some() || self.endtime.is_some()
    }
}

/// A status is that of an end, unless it is that of a task that runs; nothing is none.
fn end<'de, D: Deserializer<'de>>(d: D) -> Result<Option<usize>, D::Error> {
    struct Status;

    impl Visitor<'_> for Status {
        type Value = Option<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the status of a task")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok((text != "RUNNING").then_some(text.len()))
        }

        fn visit_u64<E: de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok(Some(0))
        }

        fn visit_i64<E: de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok(Some(0))
        }

        fn visit_f64<E: de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok(Some(0))
        }

        fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok(Some(0))
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }

    d.deserialize_any(Status)
}

impl<'de> Deserialize<'de> for Standings {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Rows;

        impl<'de> Visitor<'de> for Rows {
            type Value = Standings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of tasks")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Standings, A::Error> {
                let mut list = Vec::new();
                while let Some(row) = seq.next_element::<Row<'de>>()? {
                    if !Upid::is_one(&row.upid) {
                        return Err(A::Error::custom(NotAUpid(row.upid.into_owned())));
                    }
                    list.push(Standing {
                        has_ended: row.has_ended(),
                        upid: row.upid.into(),
                    });
                }
                Ok(Standings(list))
            }
        }

        d.deserialize_seq(Rows)
    }
}

impl ReadClient {
    /// The list of [`ReadClient::cluster_tasks`], read whole or not at all like that.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub(super) async fn cluster_standings(&self) -> Result<Standings> {
        self.get(Call::quick(&["cluster", "tasks"])).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskRow;

    const ONE: &str = "UPID:pve1:000002F5:0006BA26:6B001DCD:vzstart:140:root@pam!gold:";

    #[test]
    fn a_list_says_of_each_task_what_its_whole_rows_say() {
        for more in [
            "",
            r#","status":"RUNNING""#,
            r#","status":"OK","endtime":7"#,
            r#","status":"OK""#,
            r#","endtime":"7""#,
            r#","endtime":null,"status":null"#,
            r#","status":"unexpected status","saved":"1","user":{"a":[1]}"#,
            r#","status":"""#,
            r#","status":"a \"b\" \u00e4""#,
            r#","status":7"#,
            r#","status":-7"#,
            r#","status":1.5"#,
            r#","status":true"#,
            r#","status":[]"#,
            r#","status":{}"#,
            r#","endtime":"soon""#,
            r#","endtime":-1"#,
        ] {
            let text = format!(r#"[{{"upid":"{ONE}"{more}}}]"#);
            let rows: Option<Vec<TaskRow>> = serde_json::from_str(&text).ok();
            let expected = rows.map(|rows| rows[0].has_ended());
            let upid = ONE.parse().unwrap();
            let list: Option<Standings> = serde_json::from_str(&text).ok();
            let found = list.map(|list| list.has_ended(&upid).unwrap());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_task_that_is_not_there_stands_nowhere_and_of_two_rows_the_last_counts() {
        let other = ONE.replace(":140:", ":141:");
        let text =
            format!(r#"[{{"upid":"{ONE}"}},{{"upid":"{other}"}},{{"upid":"{ONE}","endtime":1}}]"#);
        let list: Standings = serde_json::from_str(&text).unwrap();
        let of = |upid: &str| list.has_ended(&upid.parse().unwrap());
        assert_eq!((of(ONE), of(&other)), (Some(true), Some(false)));
        assert_eq!(of(&ONE.replace(":140:", ":142:")), None);
    }

    #[test]
    fn one_bad_row_spoils_the_list() {
        for bad in [r#"{"upid":"OK"}"#, r#"{"upid":7}"#, "{}", "7"] {
            let text = format!(r#"[{{"upid":"{ONE}"}},{bad}]"#);
            assert!(serde_json::from_str::<Vec<TaskRow>>(&text).is_err());
            assert!(serde_json::from_str::<Standings>(&text).is_err(), "{bad}");
        }
    }
}
