//! Ids of deliveries: made of what is delivered, so that a repeated one can be told.

use proximity_domain::ids::InstallationId;
use proximity_domain::notify::ChannelName;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// The id of a message about these events to this channel.
pub(super) fn delivery_id(of: InstallationId, channel: &ChannelName, seqs: &[i64]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(of.0.as_bytes());
    hash.update(channel.as_str().as_bytes());
    for seq in seqs {
        hash.update(seq.to_be_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_delivery_has_the_same_id() {
        let of = InstallationId(Uuid::from_u128(1));
        let id = |channel: &str, seqs| delivery_id(of, &channel.parse().unwrap(), seqs);
        assert_eq!(id("mail", &[1, 2]), id("mail", &[1, 2]));
        assert_ne!(id("mail", &[1, 2]), id("mail", &[1]));
        assert_ne!(id("mail", &[1]), id("ntfy", &[1]));
    }
}
