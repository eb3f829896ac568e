//! `proximity catalog`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::sources::SourceName;

/// `proximity catalog`.
#[derive(Debug, Args)]
pub(crate) struct CatalogArgs {
    #[command(subcommand)]
    pub(crate) command: Option<CatalogCommand>,
}

/// `proximity catalog …`.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// List the entries; the same as without a word
    List(CatalogList),
    /// Show one entry with its settings
    Show {
        /// Id of the entry, e.g. nginx
        #[arg(value_name = "ENTRY")]
        entry: String,
    },
    /// Count the entries by category and by where they come from
    Stats,
    /// Have the server read its folders of entries again
    Reload,
    /// Git repositories with entries: what they have is shown, and used once it was taken
    #[command(subcommand)]
    Sources(CatalogSourcesCommand),
    /// Look at files of entries, without a server: all that is wrong, with its place
    #[command(after_help = "Exit code 0: all of it is right. 3: something is not; \
each problem is told with its file, line, column, code and a hint.\n\
For editors: proximity catalog schema > entry.schema.json")]
    Lint {
        /// Files of entries, folders with an app.yaml, or folders of such folders
        #[arg(value_name = "PATH", required = true)]
        paths: Vec<PathBuf>,
    },
    /// What an entry's file is made of, for editors (JSON Schema)
    Schema,
    /// Make entries of the JSON files of Proximity's ancestor, without a server, and tell what of them is not carried
    #[command(
        after_help = "Nothing is written without --to, and no file that is there is replaced.\n\
What is written has been checked as `lint` does, and was not seen to work by anybody.\n\
Exit code 0: each file was judged. 3: a path could not be read, or an entry not be written."
    )]
    Import {
        /// A JSON file, or a folder with JSON files, also in folders inside it
        #[arg(value_name = "PATH")]
        path: PathBuf,
        /// Folder that each entry is written into, as ID/app.yaml
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
    },
}

/// `proximity catalog list`.
#[derive(Debug, Args)]
pub(crate) struct CatalogList {
    /// Only entries that have each of these words somewhere; those that fit best come first
    #[arg(long, value_name = "WORDS")]
    pub(crate) search: Option<String>,
    /// Only entries of this category
    #[arg(long, value_name = "CATEGORY")]
    pub(crate) category: Option<String>,
    /// Only entries from there: shipped, folder:PATH or source:NAME
    #[arg(long, value_name = "PLACE")]
    pub(crate) source: Option<String>,
}

/// `proximity catalog sources …`.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogSourcesCommand {
    /// Add a repository; nothing of it is used before it was taken with `update`
    Add(Box<CatalogSourcesAdd>),
    /// List the repositories, with the commit that was taken of each
    List,
    /// Show what taking the newest commit would change; changes nothing
    Diff(SourceName),
    /// Show what the newest commit would change, and take it after a question
    Update(CatalogSourcesUpdate),
    /// Forget a repository; apps that were made from its entries go on with what these said
    Remove(SourceName),
}

/// `proximity catalog sources add`.
#[derive(Debug, Args)]
#[command(
    after_help = "The server needs the program git, and for ssh:// that of OpenSSH. A token is the first line of stdin, never an argument.\n\
Then: proximity catalog sources update NAME"
)]
pub(crate) struct CatalogSourcesAdd {
    /// What it is to be called
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The repository: https://… or ssh://git@HOST/PATH
    #[arg(value_name = "URL")]
    pub(crate) repository: String,
    /// The branch that is asked for something newer [default: main]
    #[arg(long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// The folder with the entries, each ID/app.yaml in it [default: the root of the repository]
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    /// Read a repository over HTTPS with a token: the first line of stdin
    #[arg(long, conflicts_with_all = ["key_file", "known_hosts"])]
    pub(crate) token_stdin: bool,
    /// Read a repository over SSH with this private key, without a passphrase
    #[arg(long, value_name = "FILE", requires = "known_hosts")]
    pub(crate) key_file: Option<PathBuf>,
    /// The keys that the host of such a repository shows, as ssh-keyscan prints them
    #[arg(long, value_name = "FILE", requires = "key_file")]
    pub(crate) known_hosts: Option<PathBuf>,
    /// Read only commits that one of these has signed: a file of allowed signers, as OpenSSH has it
    #[arg(long, value_name = "FILE")]
    pub(crate) require_signature: Option<PathBuf>,
}

/// `proximity catalog sources update`.
#[derive(Debug, Args)]
pub(crate) struct CatalogSourcesUpdate {
    /// Its name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Take this commit without a question; it has to be the newest one still, as `diff` showed it
    #[arg(long, value_name = "COMMIT")]
    pub(crate) commit: Option<String>,
}
