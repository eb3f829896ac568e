//! One look at a repository: the newest commit of its branch, and the documents in that. Nothing is ever checked out.
//!
//! What is fetched goes into a bare repository of its own that ends with the look: it holds one commit without its history, so nothing
//! grows, a branch that was moved is no special case, and what a repository of yesterday held is nowhere.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proximity_domain::failure::Failure;
use proximity_domain::names::{BranchName, CommitId, RepositoryPath};
use proximity_domain::source::{RepositoryUrl, SourceState};
use proximity_manifest::{Given, MOST_BYTES, Manifests, Problems, Source};
use proximity_store::entry_sources::EntrySourceRecord;
use proximity_store::error::StoreError;
use proximity_store::sources::SourceRecord;
use secrecy::{ExposeSecret, SecretString};

use super::SourceLimits;
use super::credential::Credential;
use super::git::{Git, GitError};
use super::listing::{self, Listed, MOST_LIST_BYTES, Unlisted};
use super::run_folder::{CONFIGURATION, KEY, RunFolder};
use super::trouble::{Halt, Trouble};
use crate::engine::Engine;

/// How long asking for the newest commit, or one look into what was fetched, may take.
const ASK: Duration = Duration::from_secs(40);
/// Bytes of what is no content, at most.
const MOST_WORDS: u64 = 64 * 1024;
/// The repository that is fetched into, in the folder of the run.
const MIRROR: &str = "--git-dir=mirror";
/// The commit that was fetched.
const HEAD: &str = "refs/proximity/head";
/// What a hint ends with where a look is one of many.
pub(super) const AGAIN: &str = "; it is tried again by itself";
/// Bytes of one file's head in the answer to `cat-file --batch`, at most.
const HEAD_BYTES: u64 = 128;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
struct Repository<'a> {
    url: &'a RepositoryUrl,
    branch: &'a BranchName,
    path: Option<&'a RepositoryPath>,
    /// Who may sign commits; without a list none has to be signed.
    signers: Option<&'a str>,
}

/// The files of entries of a commit.
#[derive(Debug)]
pub(super) struct FetchedEntries {
    /// The commit.
    pub(super) commit: CommitId,
    /// Path and content of each.
    pub(super) files: Vec<(String, Vec<u8>)>,
    /// Path of each that is not read, and why.
    pub(super) passed_over: Vec<(String, String)>,
}

/// A look.
#[derive(Debug)]
pub(super) struct Checkout<'a> {
    repository: Repository<'a>,
    limits: &'a SourceLimits,
    run: RunFolder,
}

impl<'a> Checkout<'a> {
    /// Prepares a look at documents: the folder of the run, with the key or token that the repository is read with.
    pub(super) async fn open(engine: &'a Engine, source: &'a SourceRecord) -> Result<Self, Halt> {
        let secrets = engine.store().source_secrets(&source.name).await?;
        let secrets = secrets.ok_or_else(|| StoreError::NotFound {
            what: "source",
            id: source.name.to_string(),
        })?;
        let repository = Repository {
            url: &source.url,
            branch: &source.branch,
            path: source.path.as_ref(),
            signers: source.signers.as_deref(),
        };
        Self::of(engine, repository, secrets.credential.as_ref())
    }

    /// The same for entries of the catalog.
    pub(super) async fn open_entries(
        engine: &'a Engine,
        source: &'a EntrySourceRecord,
    ) -> Result<Self, Halt> {
        let store = engine.store();
        let credential = store.entry_source_credential(&source.name).await?;
        let repository = Repository {
            url: &source.url,
            branch: &source.branch,
            path: source.path.as_ref(),
            signers: source.signers.as_deref(),
        };
        Self::of(engine, repository, credential.as_ref())
    }

    fn of(
        engine: &'a Engine,
        repository: Repository<'a>,
        credential: Option<&SecretString>,
    ) -> Result<Self, Halt> {
        let limits = &engine.inner.parts.limits.sources;
        let place = limits.folder.as_ref().ok_or_else(|| {
            unreachable("this server has no folder that it could fetch into".to_owned())
        })?;
        let name = engine.inner.parts.ids.uuid().to_string();
        let run = RunFolder::make(place, &name).map_err(|e| no_folder(&e))?;
        let checkout = Self {
            repository,
            limits,
            run,
        };
        let written = checkout.write_credential(credential)?;
        written.map_err(|e| no_folder(&e))?;
        Ok(checkout)
    }

    fn write_credential(&self, sealed: Option<&SecretString>) -> Result<std::io::Result<()>, Halt> {
        let damaged = || StoreError::Damaged {
            what: "credential_sealed",
            why: "it is no credential".to_owned(),
        };
        let credential = sealed.map(|text| Credential::parse(text.expose_secret()));
        Ok(match credential {
            None => Ok(()),
            Some(None) => return Err(damaged().into()),
            Some(Some(Credential::Token { token })) => {
                let basic = STANDARD.encode(format!("x-access-token:{token}"));
                let origin = self.repository.url.origin();
                let text = format!(
                    "[http \"{origin}\"]\n\textraHeader = \"Authorization: Basic {basic}\"\n"
                );
                self.run.write(CONFIGURATION, &text)
            }
            Some(Some(Credential::SshKey { key, known_hosts })) => {
                let line = |text: String| format!("{}\n", text.trim_end());
                self.run
                    .write(KEY, &line(key))
                    .and_then(|()| self.run.write("known_hosts", &line(known_hosts)))
            }
        })
    }

    fn git(&self) -> Git<'_> {
        Git {
            program: &self.limits.program,
            folder: self.run.path(),
            allows_files: self.limits.allow_files,
        }
    }

    /// The newest commit of the branch, as the repository tells it. Nothing is fetched.
    pub(super) async fn newest(&self) -> Result<CommitId, Halt> {
        let branch = format!("refs/heads/{}", self.repository.branch);
        let argv = [
            "ls-remote",
            "--refs",
            "--",
            self.repository.url.as_str(),
            branch.as_str(),
        ];
        let told = self.git().run(&argv, &[], MOST_WORDS, ASK).await;
        let told = told.map_err(asked)?;
        let told = String::from_utf8_lossy(&told);
        let rows = told.lines().filter_map(|line| line.split_once('\t'));
        // A pattern also finds branches that end with it.
        let mut rows = rows.filter(|(_, name)| *name == branch);
        let (commit, _) = rows.next().ok_or_else(|| self.no_branch())?;
        commit.parse().map_err(|_| self.no_branch())
    }

    /// Fetches the newest commit, which may be another one by now, and reads its documents.
    pub(super) async fn documents(&self) -> Result<(CommitId, Manifests), Halt> {
        let commit = self.fetched().await?;
        let at = |halt: Halt| halt.at(&commit);
        self.check_signature(&commit).await.map_err(at)?;
        let files = self.files(&commit).await.map_err(at)?;
        let given = self.contents(files).await.map_err(at)?;
        let read = proximity_manifest::read(&given);
        let read = read.map_err(|problems| at(wrong(problems)))?;
        Ok((commit, read))
    }

    async fn fetched(&self) -> Result<CommitId, Halt> {
        let git = self.git();
        let init = ["init", "--quiet", "--bare", "--template=", "mirror"];
        git.run(&init, &[], MOST_WORDS, ASK).await.map_err(asked)?;
        let refspec = format!("+refs/heads/{}:{HEAD}", self.repository.branch);
        let fetch = [
            MIRROR,
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--",
            self.repository.url.as_str(),
            refspec.as_str(),
        ];
        let (most, patience) = (self.limits.most_bytes, self.limits.patience);
        let fetched = git.fetch(&fetch, most, patience).await;
        fetched.map_err(asked)?;
        let commit = format!("{HEAD}^{{commit}}");
        let told = git
            .run(
                &[MIRROR, "rev-parse", "--verify", commit.as_str()],
                &[],
                MOST_WORDS,
                ASK,
            )
            .await
            .map_err(asked)?;
        let told = String::from_utf8_lossy(&told);
        told.trim().parse().map_err(|_| self.no_branch())
    }

    /// Whether one of those who may has signed the commit. Without a list of them none has to be.
    async fn check_signature(&self, commit: &CommitId) -> Result<(), Halt> {
        let Some(signers) = self.repository.signers else {
            return Ok(());
        };
        let written = self.run.write("allowed_signers", signers);
        written.map_err(|e| no_folder(&e))?;
        let argv = [
            MIRROR,
            "-c",
            "gpg.ssh.allowedSignersFile=./allowed_signers",
            "verify-commit",
            commit.as_str(),
        ];
        match self.git().run(&argv, &[], MOST_WORDS, ASK).await {
            Ok(_) => Ok(()),
            Err(GitError::Failed(_, _)) => Err(Trouble::new(
                SourceState::Wrong,
                Failure::new(
                    "commit_unsigned",
                    format!("commit {commit} is not signed with a key of those who may sign"),
                    "sign it with such a key (git commit -S, gpg.format=ssh), or add the source again with that key among its signers",
                ),
            )
            .into()),
            Err(other) => Err(asked(other)),
        }
    }

    /// Fetches the newest commit, and reads the files of entries that it has.
    pub(super) async fn entries(&self) -> Result<FetchedEntries, Halt> {
        let commit = self.fetched().await?;
        self.check_signature(&commit).await?;
        let path = self.repository.path.map(|path| path.as_str());
        let list = self.list(&commit, path).await?;
        let place = path.map_or_else(String::new, |path| format!(" below {path}"));
        let listed = listing::entries(&list, path);
        let listed = listed.map_err(|why| unlisted_entries(why, &place))?;
        let texts = self.texts(&listed.files).await?;
        let files = listed.files.into_iter().zip(texts);
        Ok(FetchedEntries {
            commit,
            files: files.map(|(file, bytes)| (file.path, bytes)).collect(),
            passed_over: listed.passed_over,
        })
    }

    /// What git says of the files of a commit.
    async fn list(&self, commit: &CommitId, path: Option<&str>) -> Result<Vec<u8>, Halt> {
        let mut argv = vec![
            MIRROR,
            "ls-tree",
            "-r",
            "-z",
            "-l",
            "--full-tree",
            commit.as_str(),
            "--",
        ];
        argv.extend(path);
        let list = self.git().run(&argv, &[], MOST_LIST_BYTES, ASK).await;
        list.map_err(asked)
    }

    async fn files(&self, commit: &CommitId) -> Result<Vec<Listed>, Halt> {
        let path = self.repository.path.map(|path| path.as_str());
        let list = self.list(commit, path).await?;
        let place = path.map_or_else(String::new, |path| format!(" below {path}"));
        listing::files(&list, path).map_err(|why| {
            let failure = match why {
                Unlisted::Nothing => Failure::new(
                    "documents_not_found",
                    format!("the commit has no file of documents{place}"),
                    "such files are named *.yaml, *.yml or *.json; links and names that begin with a dot are passed over",
                ),
                Unlisted::TooLarge(why) => too_large(why),
                Unlisted::Unreadable => not_understood(),
            };
            Trouble::new(SourceState::Wrong, failure).into()
        })
    }

    async fn contents(&self, files: Vec<Listed>) -> Result<Given, Halt> {
        let texts = self.texts(&files).await?;
        let sources = files.into_iter().zip(texts);
        let sources = sources.map(|(file, bytes)| Source {
            name: file.path,
            bytes,
        });
        Ok(Given {
            documents: sources.collect(),
            ..Given::default()
        })
    }

    /// What is in these files, in their order.
    async fn texts(&self, files: &[Listed]) -> Result<Vec<Vec<u8>>, Halt> {
        let objects: String = files
            .iter()
            .map(|one| format!("{}\n", one.object))
            .collect();
        let heads = u64::try_from(files.len()).unwrap_or(u64::MAX);
        let most = (MOST_BYTES as u64).saturating_add(heads.saturating_mul(HEAD_BYTES));
        let argv = [MIRROR, "cat-file", "--batch"];
        let written = self.git().run(&argv, objects.as_bytes(), most, ASK).await;
        let written = written.map_err(asked)?;
        listing::contents(files, &written)
            .ok_or_else(|| unreachable("git did not give the files of the commit whole".to_owned()))
    }

    fn no_branch(&self) -> Halt {
        let branch = self.repository.branch;
        Trouble::new(
            SourceState::Unreachable,
            Failure::new(
                "branch_not_found",
                format!("the repository has no branch {branch}"),
                "push it again, or remove the source and add it with the branch that is meant; nothing was changed",
            ),
        )
        .into()
    }
}

/// Git could not be asked, or the repository does not answer.
fn asked(error: GitError) -> Halt {
    let failure = match error {
        GitError::Missing => Failure::new(
            "git_missing",
            "the program git is not installed where the server runs",
            "install it there, e.g. with: apt install git; a repository over SSH needs openssh-client as well",
        ),
        GitError::TooLarge(most) => too_large(format!(
            "the repository has more than {} MiB in its newest commit",
            most >> 20
        )),
        GitError::TooLong(patience) => {
            return unreachable(format!(
                "it did not answer, or was not fetched, within {} s",
                patience.as_secs()
            ));
        }
        GitError::NotRun(why) => return unreachable(format!("git cannot be run: {why}")),
        GitError::Failed(code, said) => {
            return unreachable(format!("git ended with {code}: {said}"));
        }
    };
    Trouble::new(SourceState::Unreachable, failure).into()
}

fn unreachable(message: String) -> Halt {
    Trouble::new(
        SourceState::Unreachable,
        Failure::new(
            "source_unreachable",
            message,
            format!(
                "check the address and the key or token, and that the server reaches the repository{AGAIN}"
            ),
        ),
    )
    .into()
}

fn no_folder(error: &std::io::Error) -> Halt {
    unreachable(format!(
        "the server cannot write into its data directory: {error}"
    ))
}

fn too_large(message: String) -> Failure {
    Failure::new(
        "source_too_large",
        message,
        "keep documents in a repository of their own, and name the folder that they are in with --path",
    )
}

fn not_understood() -> Failure {
    Failure::new(
        "source_unreachable",
        "git lists the files of the commit in a way that is not understood",
        "use a newer version of git on the server",
    )
}

/// Why no entries are read of a commit.
fn unlisted_entries(why: Unlisted, place: &str) -> Halt {
    let failure = match why {
        Unlisted::Nothing => Failure::new(
            "documents_not_found",
            format!("the commit has no entry of the catalog{place}"),
            "an entry is ID/app.yaml in the folder that --path names; links and names that begin with a dot are passed over",
        ),
        Unlisted::TooLarge(why) => Failure::new(
            "source_too_large",
            why,
            "keep entries in a folder of their own, and name it with --path",
        ),
        Unlisted::Unreadable => not_understood(),
    };
    Trouble::new(SourceState::Wrong, failure).into()
}

/// Each problem by its place.
fn wrong(problems: Problems) -> Halt {
    let many = problems.problems.len().saturating_add(problems.left_out);
    let told = problems.problems.into_iter().map(|one| {
        let place = format!("{}:{}:{}", one.file, one.line, one.column);
        (place, format!("{}; {}", one.message, one.hint))
    });
    Trouble::wrong(
        format!("the documents are not right; problems: {many}"),
        told,
    )
    .into()
}
