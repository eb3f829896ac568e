//! Sizes of volumes, as Proxmox VE writes them.

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// The bytes of a size as Proxmox VE prints it: a whole number, with `K`, `M`, `G` or `T` behind it (`PVE::JSONSchema`,
/// `parse_size`). `None` for anything else, a fraction among them, which it prints of no volume that it made.
#[must_use]
pub fn size_bytes(text: &str) -> Option<u64> {
    let (number, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], KIB),
        b'M' => (&text[..text.len() - 1], MIB),
        b'G' => (&text[..text.len() - 1], GIB),
        b'T' => (&text[..text.len() - 1], TIB),
        _ => (text, 1),
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// The same the other way round (`format_size`), but for whole TiB, which are told in GiB as everything else here is.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    match bytes {
        bytes if bytes > 0 && bytes.is_multiple_of(GIB) => format!("{}G", bytes / GIB),
        bytes if bytes > 0 && bytes.is_multiple_of(MIB) => format!("{}M", bytes / MIB),
        bytes if bytes > 0 && bytes.is_multiple_of(KIB) => format!("{}K", bytes / KIB),
        bytes => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_written_as_pve_writes_them() {
        for (text, bytes, written) in [
            ("8G", 8 * GIB, "8G"),
            ("8192M", 8 * GIB, "8G"),
            ("1T", TIB, "1024G"),
            ("8500M", 8500 * MIB, "8500M"),
            ("3K", 3 * KIB, "3K"),
            ("17", 17, "17"),
            ("0", 0, "0"),
        ] {
            assert_eq!(size_bytes(text), Some(bytes), "{text}");
            assert_eq!(size_text(bytes), written);
        }
        for none in ["", "G", "1.5G", "-1G", "8GB", "eight", "99999999999999999T"] {
            let read = size_bytes(none);
            assert!(read.is_none(), "{none}: {read:?}");
        }
    }
}
