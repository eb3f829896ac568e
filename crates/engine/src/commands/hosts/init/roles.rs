//! Names of the roles that tokens of ours hold, and of the users that have these tokens.

use proximity_domain::accounts::AccountMark;
use proximity_domain::token_purpose::TokenPurpose;
use proximity_pve::privileges::Scope;

/// Whom a role is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands::hosts) enum RolePrefix {
    /// A token for this purpose.
    Purpose(TokenPurpose),
    /// The only token of a host.
    Whole,
}

/// The user of the token for this purpose, e.g. `proximity-operate-1a2b3c4d@pve`.
pub(in crate::commands::hosts) fn user(mark: AccountMark, purpose: TokenPurpose) -> String {
    format!("proximity-{purpose}-{}@pve", mark.short())
}

/// e.g. `ProximityOperatePool-1a2b3c4d`.
pub(in crate::commands::hosts) fn name(
    mark: AccountMark,
    prefix: RolePrefix,
    scope: Scope,
) -> String {
    let of = match prefix {
        RolePrefix::Purpose(TokenPurpose::Observe) => "Observe",
        RolePrefix::Purpose(TokenPurpose::Operate) => "Operate",
        RolePrefix::Purpose(TokenPurpose::Images) => "Images",
        RolePrefix::Purpose(TokenPurpose::Adopted) => "Adopted",
        RolePrefix::Whole => "Whole",
    };
    let on = match scope {
        Scope::Everything => "",
        Scope::Access => "Access",
        Scope::Guest => "Guest",
        Scope::Pool => "Pool",
        Scope::Storage => "Storage",
        Scope::TemplateStorage => "Templates",
        Scope::BackupStorage => "Backups",
        Scope::Bridge => "Bridge",
        Scope::Node => "Nodes",
    };
    format!("Proximity{of}{on}-{}", mark.short())
}
