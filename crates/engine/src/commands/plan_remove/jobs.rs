//! PVE's jobs of backups that name a container, and what its removal makes of them.

use proximity_domain::ids::Vmid;
use proximity_pve::jobs::BackupJob;

/// The jobs that name it, by id.
pub(super) fn naming(jobs: &[BackupJob], vmid: Vmid) -> Vec<String> {
    let named = jobs.iter().filter(|job| job.names(vmid));
    named.map(|job| job.id.clone()).collect()
}

/// What becomes of the jobs that name it; of all of them where they could not be read (`None`).
pub(super) fn steps(jobs: Option<&[BackupJob]>, vmid: Vmid, purge: bool) -> Vec<String> {
    let Some(jobs) = jobs else {
        let what = if purge {
            "take its number out of all jobs of backups that name it, and remove those that name nothing else"
        } else {
            "keep its number in all jobs of backups that name it (--purge takes it out)"
        };
        return vec![format!("{what}; which they are could not be read")];
    };
    let named = jobs.iter().filter(|job| job.names(vmid));
    named.map(|job| step(job, vmid, purge)).collect()
}

fn step(job: &BackupJob, vmid: Vmid, purge: bool) -> String {
    let id = &job.id;
    if !purge {
        return format!(
            "keep its number in the job of backups {id}, for whatever gets the number next (--purge takes it out)"
        );
    }
    if job.is_only_for(vmid) {
        format!("remove the job of backups {id}, which names nothing else")
    } else {
        format!("take its number out of the job of backups {id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vmid(number: u32) -> Vmid {
        Vmid::try_from(number).unwrap()
    }

    fn job(id: &str, guests: &[u32], excluded: &[u32]) -> BackupJob {
        let numbers = |of: &[u32]| of.iter().copied().map(vmid).collect();
        BackupJob {
            id: id.to_owned(),
            guests: numbers(guests),
            excluded: numbers(excluded),
        }
    }

    fn jobs() -> Vec<BackupJob> {
        vec![
            job("all", &[], &[100]),
            job("both", &[100, 101], &[]),
            job("other", &[101], &[]),
            job("one", &[100], &[]),
        ]
    }

    #[test]
    fn without_consent_each_job_goes_on_naming_it() {
        let jobs = jobs();
        assert_eq!(naming(&jobs, vmid(100)), ["all", "both", "one"]);
        let told = steps(Some(&jobs), vmid(100), false);
        assert_eq!(told.len(), 3);
        for (step, id) in told.iter().zip(["all", "both", "one"]) {
            let begin = format!("keep its number in the job of backups {id},");
            assert!(step.starts_with(&begin), "{step}");
        }
        assert!(steps(Some(&jobs), vmid(7_777), false).is_empty());
    }

    #[test]
    fn with_consent_a_job_that_names_nothing_else_goes() {
        let told = steps(Some(&jobs()), vmid(100), true);
        let expected = [
            "take its number out of the job of backups all",
            "take its number out of the job of backups both",
            "remove the job of backups one, which names nothing else",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn that_they_could_not_be_read_is_told() {
        for purge in [false, true] {
            let told = steps(None, vmid(100), purge);
            assert!(
                told[0].ends_with("which they are could not be read"),
                "{told:?}"
            );
        }
    }
}
