//! What PVE's API has and accepts: the method table, path matching and parameter verification.
//!
//! The table (`assets/schema-9.2.11.json`) is derived from PVE's own schema by
//! `examples/schema_table.rs`. The order of the checks and their texts follow the answers of PVE
//! 9.2.11.

mod addresses;
mod check;
mod format;
mod net_ip;
mod pattern;
mod ports;
mod privileges;
mod property_string;
mod registered;
mod special;
mod table;

pub use addresses::{clean_cidr, is_firewall_name, parse_addresses, parse_cidr, scoped_alias};
pub use check::{Errors, Params, join_lists, perl_text, verify};
pub use format::{check_named as check_format, format_size, parse_size, split_list};
pub use ports::{check_ports, check_protocol, is_icmp_type, is_icmp_v6_type};
pub use privileges::PRIVILEGES;
pub use property_string::{PropertyMap, parse as parse_property_string};
pub use table::{Format, Limit, Lookup, Method, Permissions, Property, Table, table};
