//! Builds the crate again when a migration is added: they are embedded.

fn main() {
    #[allow(clippy::print_stdout)] // that is how a build script speaks to cargo
    {
        println!("cargo:rerun-if-changed=migrations");
    }
}
